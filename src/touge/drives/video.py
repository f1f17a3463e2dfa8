"""H.264 in mp4: pictures in, bytes out, and back. The only module of touge that imports PyAV."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.stream import VideoStream

from touge.contract.errors import DataError
from touge.drives.drive import Image


def encode(pictures: Iterable[Image], *, width: int, height: int, fps: float) -> bytes:
    """Return an mp4 of RGB pictures; a key frame every second, so that seeking is cheap."""
    buffer = io.BytesIO()
    rate = Fraction(fps).limit_denominator(1001)
    options = {"preset": "veryfast", "crf": "17", "g": str(max(1, round(fps))), "bf": "0", "threads": "1"}
    with av.open(buffer, mode="w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode(data: bytes, indices: Sequence[int], *, expected: int, source: str) -> Iterator[Image]:
    """Yield the frames with these indices, decoding from the start once and holding one at a time.

    Args:
        data: The mp4.
        indices: Of frames, never decreasing.
        expected: How many frames the timestamps promise.
        source: File name for messages.

    Raises:
        DataError: If the video cannot be opened, ends early, or holds another number of frames.
        ValueError: If the indices decrease or lie outside.
    """
    wanted = list(indices)
    if wanted != sorted(wanted) or (wanted and not 0 <= wanted[0] <= wanted[-1] < expected):
        raise ValueError(f"indices must not decrease and lie in 0..{expected - 1}, given {wanted[:8]}")
    decoded, position = 0, 0
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            stream = container.streams.video[0]
            _check_count(stream, expected, source)
            for frame in container.decode(stream):
                while position < len(wanted) and wanted[position] == decoded:
                    yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                    position += 1
                decoded += 1
                if position == len(wanted):
                    return
    except (av.FFmpegError, IndexError) as error:
        raise _damaged(source, expected, decoded, str(error)) from error
    if position < len(wanted):
        raise _damaged(source, expected, decoded, "the video ends early")


def _check_count(stream: VideoStream, expected: int, source: str) -> None:
    if stream.frames and stream.frames != expected:
        raise DataError(
            f"{source}: its timestamps list {expected} frames, the video holds {stream.frames}. Download the clip again"
        )


def _damaged(source: str, expected: int, decoded: int, reason: str) -> DataError:
    return DataError(f"{source}: expected {expected} frames, decoded {decoded}: {reason}. Download the clip again")
