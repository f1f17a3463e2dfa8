"""What S3's refusals and failures mean, over real HTTP; what the store asks of the server."""

import traceback

import boto3
import pytest
from botocore.exceptions import ClientError
from s3_server import ACCESS_KEY, SECRET_KEY, Fault

from touge.contract.errors import InfrastructureError, ObjectNotFound, SettingsError
from touge.storage import StoreSettings, open_store

READS = [lambda store: store.get("key"), lambda store: store.stat("key"), lambda store: list(store.list())]
WRITES = [lambda store: store.put("key", b"x"), lambda store: store.create("key", b"x")]


@pytest.fixture
def store(s3_server):
    yield s3_server.new_store(attempts=1)
    s3_server.mend()


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (403, "AccessDenied", "allowed to do this"),
        (403, "InvalidAccessKeyId", "credentials are right"),
        (403, "SignatureDoesNotMatch", "credentials are right"),
        (400, "ExpiredToken", "not expired"),
        (403, "RequestTimeTooSkewed", "the clock"),
        (404, "NoSuchBucket", "Create it"),
        (301, "PermanentRedirect", "TOUGE_S3_REGION"),
        (400, "AuthorizationHeaderMalformed", "TOUGE_S3_REGION"),
        (501, "NotImplemented", "conditional writes"),
    ],
)
def test_a_refusal_is_a_setting_to_mend_and_names_the_remedy(s3_server, store, status, code, remedy):
    s3_server.fail(Fault("PUT", "/key", status, code, times=9))

    with pytest.raises(SettingsError, match=remedy) as caught:
        store.put("key", b"x")
    assert store.uri in str(caught.value)
    assert code in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalError"), (503, "SlowDown"), (400, "RequestTimeout"), (400, "BadDigest"), (429, "TooMany"), (0, "")],
)
def test_a_failure_is_worth_another_try(s3_server, store, status, code):
    s3_server.fail(Fault("PUT", "/key", status, code))

    with pytest.raises(InfrastructureError) as caught:
        store.put("key", b"x")
    assert type(caught.value) is InfrastructureError


def test_a_head_without_a_body_is_refused_by_its_status(s3_server, store):
    s3_server.fail(Fault("HEAD", "/key", 403, times=9))
    s3_server.fail(Fault("HEAD", "/other", 400, times=9))

    with pytest.raises(SettingsError):
        store.stat("key")
    with pytest.raises(SettingsError):
        store.stat("other")


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_request_is_tried_again(s3_server, status):
    store = s3_server.new_store(attempts=3)
    s3_server.fail(Fault("PUT", "/key", status, "SlowDown"))

    store.put("key", b"x")

    assert store.get("key") == b"x"


@pytest.mark.parametrize("use", [*READS[::2], *WRITES])
def test_a_bucket_that_does_not_exist_is_a_setting_to_mend(s3_server, use):
    with pytest.raises(SettingsError, match="the bucket does not exist"):
        use(open_store("s3://no-such-bucket", s3_server.settings))


def test_a_large_file_for_a_missing_bucket_is_a_setting_to_mend(s3_server, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(9 << 20))

    with pytest.raises(SettingsError, match="the bucket does not exist"):
        open_store("s3://no-such-bucket", s3_server.settings).put("large", path)


@pytest.mark.parametrize("use", [*READS, *WRITES])
def test_a_server_that_is_not_there_is_an_infrastructure_error(s3_server, use):
    away = StoreSettings(endpoint="http://127.0.0.1:9", region="us-east-1", path_style=True, attempts=1)

    with pytest.raises(InfrastructureError, match="TOUGE_S3_ENDPOINT") as caught:
        use(open_store("s3://bucket", away))
    assert not isinstance(caught.value, ObjectNotFound)


@pytest.mark.parametrize("use", [*READS, *WRITES])
def test_missing_credentials_say_what_to_set(s3_server, monkeypatch, use):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(SettingsError, match="AWS_PROFILE"):
        use(open_store("s3://bucket", s3_server.settings))


def test_an_unknown_profile_is_a_setting_to_mend(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(SettingsError, match="ProfileNotFound"):
        open_store("s3://bucket", s3_server.settings)


def test_a_bucket_name_that_cannot_be_is_a_setting_to_mend(s3_server):
    with pytest.raises(SettingsError):
        open_store("s3://Not A Bucket", s3_server.settings).get("key")


def test_no_credential_is_in_any_message(s3_server, store):
    s3_server.fail(Fault("PUT", "/key", 403, "InvalidAccessKeyId"))

    with pytest.raises(SettingsError) as caught:
        store.put("key", b"x")
    told = "".join(traceback.format_exception(caught.value)) + repr(store) + repr(vars(store))
    assert SECRET_KEY not in told
    assert ACCESS_KEY not in str(caught.value)


def test_an_answer_that_breaks_off_is_an_infrastructure_error(s3_server, store):
    store.put("key", bytes(5 << 20))
    s3_server.fail(Fault("GET", "/key", 200, truncated=True))

    with pytest.raises(InfrastructureError), store.open("key") as stream:
        stream.read()


def test_a_large_file_goes_up_in_parts_and_appears_when_it_is_whole(s3_server, store, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(17 << 20))
    s3_server.fail(Fault("PUT", "/large", 500, "InternalError"))

    with pytest.raises(InfrastructureError):
        store.put("large", path)
    assert list(store.list()) == []
    s3_server.requests.clear()
    store.put("large", path)
    assert len([request for request in s3_server.requests if request.startswith("PUT")]) == 3


def test_marks_of_folders_are_no_objects(s3_server, store):
    client = boto3.client("s3", endpoint_url=s3_server.settings.endpoint, region_name="us-east-1")
    for key in ("some/prefix/", "some/prefix/drives/"):
        client.put_object(Bucket=store.bucket, Key=key)
    store.put("drives/a", b"x")

    assert [info.key for info in store.list()] == ["drives/a"]


def test_a_prefix_is_not_a_sibling_that_begins_like_it(s3_server, store):
    store.put("key", b"x")

    assert list(open_store(f"s3://{store.bucket}/some/pre", s3_server.settings).list()) == []


def test_a_listing_goes_on_after_a_thousand_keys(s3_server, store):
    for number in range(1001):
        s3_server.place(store.bucket, f"some/prefix/{number:04d}")

    assert [info.key for info in store.list()] == [f"{number:04d}" for number in range(1001)]


def test_a_conditional_write_is_asked_for_as_s3_documents(s3_server, store):
    store.create("key", b"x")

    with pytest.raises(ClientError, match="PreconditionFailed"):
        boto3.client("s3", endpoint_url=s3_server.settings.endpoint, region_name="us-east-1").put_object(
            Bucket=store.bucket, Key="some/prefix/key", Body=b"y", IfNoneMatch="*"
        )


@pytest.mark.parametrize("prefix", ["a//b", "a/../b"])
def test_a_prefix_that_some_stores_would_fold_is_refused(s3_server, prefix):
    with pytest.raises(SettingsError, match="expected"):
        open_store(f"s3://bucket/{prefix}", s3_server.settings)
