"""Which manoeuvre a Japanese text says of the ego vehicle.

左 and 右 count only inside a phrase that names a manoeuvre (左カーブ, 右へ寄せる), and only where the phrase neither
modifies somebody else (左折する車両), nor has another subject (対向車が右折), nor is denied (左折せず) or past
(左カーブを抜けて).
"""

from __future__ import annotations

import re
from re import Match

from touge.language.claim import Claim, ClaimKind, Rule, accepted
from touge.motion.labels import Direction

SIDES = {"左": Direction.LEFT, "右": Direction.RIGHT}

_D = r"(?P<d>左|右)"
_SIDE = r"(?:側|手|方向|寄り|向き|端|いっぱい)?"
_TO = rf"{_SIDE}(?:への|へと|へ|に)"
_DEGREE = (
    r"(?:(?:ごく|やや|少し|わずかに|かなり|とても|非常に|比較的|もっと)?(?:緩やか|なだらか|ゆるやか|緩|ゆる|急|きつ|鋭|大き|小さ|長|短|深|浅|連続"
    r"|強|穏やか|中程度|見通しの悪|下り|上り|ブラインド|半径\d+(?:m|メートル)(?:ほど|前後|程度|くらい)?|\d+度(?:ほど|前後|程度|くらい)?)"
    r"(?:な|い|の|めの|め|く|に|こう配の|勾配の)?){0,4}"
)
_BEND = r"(?:カーブ|コーナー|ヘアピン(?:カーブ)?|曲線|屈曲|湾曲|曲がり角|曲がり(?!き|ま|な|終|始))"
_ROAD = r"(?:道路|道|路面|路線|線形|進路|車線|レーン|ルート|コース|カーブ|コーナー|峠道|山道|本線)"
_VEER = r"(?:曲が|曲線|カーブ|湾曲|屈曲|折れ|うね|旋回|続|回り|弧|曲げ|向か|伸び|延び|逸れ|それ)"
_SOFTLY = r"[^。、,.左右]{0,8}?"
_GO = r"(?:寄|避け|よけ|ずら|ずれ|膨ら|ふくら|回避|かわ|オフセット|振|移動|逃げ|はみ出|動|片寄)"

_ABOUT_ROAD = re.compile(
    r"(?:道路|道が|道は|道なり|カーブ|コーナー|線形|に沿|山道|峠|湾曲|(?<![側歩国県車])道[なでをがは])"
)


def _bent(match: Match[str]) -> ClaimKind:
    """左に曲がる speaks of the road where its sentence does, else of an intersection."""
    before = match.string[: match.start()]
    near = before[before.rfind("。") + 1 :] + re.split(r"[。、]", match.string[match.end() :])[0]
    at_crossing = re.search(r"交差点|信号|丁字路|T字路|t字路|角を|路地", near)
    return ClaimKind.CURVE if _ABOUT_ROAD.search(near) and not at_crossing else ClaimKind.TURN


def _steered(match: Match[str]) -> ClaimKind:
    clause = re.split(r"。", match.string[: match.start()])[-1] + re.split(r"[。]", match.string[match.end() :])[0]
    return ClaimKind.CURVE if _ABOUT_ROAD.search(clause) else ClaimKind.NUDGE


_CURVE, _LANE, _NUDGE = ClaimKind.CURVE, ClaimKind.LANE_CHANGE, ClaimKind.NUDGE
RULES = (
    Rule(_CURVE, re.compile(rf"{_D}{_SIDE}(?:への|へと|へ|に|の)?{_DEGREE}{_BEND}")),
    Rule(
        _CURVE,
        re.compile(
            rf"(?:カーブ|コーナー|曲線)(?:が|は|で)?{_SOFTLY}{_D}{_SIDE}(?:へ|に|方向){_SOFTLY}(?:続|曲|回|折|伸|向)"
        ),
    ),
    Rule(_CURVE, re.compile(rf"{_ROAD}(?:が|は|も)[^。左右]{{0,14}}?{_D}{_SIDE}(?:へと|へ|に){_SOFTLY}{_VEER}")),
    Rule(_CURVE, re.compile(rf"{_D}{_TO}{_SOFTLY}(?:カーブ|湾曲|屈曲|旋回|曲線|弧を|うね)")),
    Rule(_CURVE, re.compile(rf"{_D}(?:旋回|カーブ)")),
    Rule(_bent, re.compile(rf"{_D}{_TO}{_SOFTLY}(?:曲が|折れ|曲げ|進路を取)")),
    Rule(ClaimKind.TURN, re.compile(rf"{_D}折(?!可|専用|レーン|信号|矢印|標識|帯)")),
    Rule(
        _steered,
        re.compile(
            rf"(?:{_D}{_TO}{_SOFTLY}(?:ハンドル|ステアリング|操舵|転舵|舵|ステア))|(?:ハンドル|ステアリング|舵)を"
            rf"{_SOFTLY}(?P<e>左|右){_SIDE}(?:へ|に){_SOFTLY}(?:切|回|操作)"
        ),
    ),
    Rule(_steered, re.compile(rf"{_D}(?:操舵|転舵|舵|ステア)")),
    Rule(
        _LANE,
        re.compile(
            rf"{_D}(?:側|隣|端|寄り)?(?:の)?(?:隣の|追越|走行)?(?:車線|レーン){_TO}{_SOFTLY}"
            rf"(?:変更|変え|移|入|出|合流|進入|寄|戻|乗り|レーンチェンジ|チェンジ)"
        ),
    ),
    Rule(
        _LANE,
        re.compile(
            rf"{_D}{_TO}{_SOFTLY}(?:車線変更|車線を変|進路変更|進路を変|レーンチェンジ|合流|割り込|車線を移|変更)"
        ),
    ),
    Rule(_LANE, re.compile(rf"{_D}{_SIDE}(?:車線変更|レーンチェンジ|合流)")),
    Rule(_NUDGE, re.compile(rf"{_D}{_TO}{_SOFTLY}{_GO}")),
    Rule(_NUDGE, re.compile(rf"{_D}(?:寄り|側)(?:を|に|で){_SOFTLY}(?:走行|走|通過|通行|位置|寄せ)")),
    Rule(_NUDGE, re.compile(rf"{_D}寄せ")),
    Rule(
        ClaimKind.STRAIGHT,
        re.compile(
            r"直進(?!レーン|車線|専用|信号|矢)|(?:まっすぐ|真っ?直ぐ|真っすぐ)|直線(?:道路|路|区間|が続)|ストレート"
        ),
    ),
    Rule(
        ClaimKind.KEEP_LANE,
        re.compile(
            r"道なり|車線(?:の?中[央心])?[をに]?(?:維持|保|キープ)|(?:現在の|同じ|今の|自)車線|(?:道路|道|車線)に沿"
        ),
    ),
)

_AGENT = (
    r"(?:(?:対向|先行|前走|後続|並走|停止|駐車|直進|左折|右折|大型|前方|隣の|他の|緊急|路上駐車)*"
    r"(?:(?<!自)(?<!停)(?<!駐)車両?(?!線|道|間|速|幅|庫|体|高|輪|外)|(?<=駐)車両?(?!帯|場)|トラック|ダンプ|トレーラー|バス(?!停)|タクシー|バイク|二輪車?|オートバイ"
    r"|原付|自転車|歩行者|人(?!口|通)|子ども|子供|児童|動物|鹿|シカ|犬|猫|作業員|誘導員|相手|他車|集団))"
)
_MODIFIES = re.compile(
    rf"^(?:待ち|中|開始|予定)?(?:の|で)?(?:[ぁ-ん]{{0,9}}(?:る|た|う|す|く))?(?:前の)?(?:の)?(?:{_AGENT}|信号|矢印|専用|レーン|車線(?!変更|に|へ))"
)
_MODIFIES_AFTER_TE = re.compile(rf"^[ぁ-ん]{{0,3}}[てで][^。、をにが]{{1,8}}[るた]{_AGENT}")
_SUBJECT = re.compile(rf"{_AGENT}(?:[^。、]{{0,6}}?)(?:が|は|も)([^。、]*)$")
_OWN_AGAIN = re.compile(
    r"ため|ので|から|ことで|たら|れば|つつ|ながら|場合|後に|あとに|自車|前に|待[っち]|見て|確認|過ぎ|譲|注意|合わせ|いれば|いたら|ないよう"
)
_DENIED = re.compile(
    r"^(?:を|は|も)?(?:[ぁ-ん]{0,6}(?:必要|こと)(?:は|が|も)?)?(?:行[わい]|[ぁ-ん]{0,6}?)"
    r"(?:(?<!まも)(?<!間も)(?<!少)な[いくし]|(?<!ま)ず|ません|禁止|不可|やめ|取りやめ|中止|見送|あきらめ|諦め|避け|控え|じゃな)"
)
_PAST = re.compile(
    r"^(?:区間)?(?:が|は|を|の|から)?(?:もう|すでに|既に)?(?:抜け|過ぎ|通過(?:し|後|す?み)|終[わえ了]|後(?!続|方)|の後|出た|出て|出る|クリア|り終|した後|したあと|曲がり終)"
)
_NEUTRAL = re.compile(
    r"右左折|左右折|左右|右左|[左右](?:側)?(?:または|もしくは|あるいは|か|や|と|および|及び|・|/)[左右](?:側)?(?:の)?(?:どちら|両|いずれ|双方)"
    r"|[左右](?:折)?(?:または|もしくは|あるいは|か|や|/)[左右](?:折)?|左側通行|右側通行|[左右]ハンドル|カーブミラー|車線境界"
)
_WINDING = re.compile(r"S字|s字|連続カーブ|連続する|カーブが続|カーブが連続|切り返|つづら|と続く")
_SEQUENCE = re.compile(
    r"(?P<one>左|右)(?P<between>(?:カーブ|コーナー)?(?:→|から|・|、|,|に続き|に続いて|の後|のあと|の次|、次いで|、続いて|次いで|続いて|、そして|、次に"
    r"|、その後|とすぐ|、すぐ|へ、|に、|へ曲がり、|に曲がり、)(?:すぐに?|に|は|は?さらに)?)(?P<two>左|右)"
)


def japanese_claims(text: str) -> tuple[Claim, ...]:
    """Return what a normalised text without spaces claims of the ego vehicle, in its order."""
    plain = _NEUTRAL.sub(lambda match: "＿" * len(match.group()), text)
    found = [(match.start(), match.end(), _claim(rule, match)) for rule, match in accepted(RULES, plain, _is_ego)]
    for sequence in _sequences(plain):
        found = [each for each in found if each[0] >= sequence.end() or each[1] <= sequence.start()]
        found += [
            (sequence.start(name), sequence.end(name), Claim(_CURVE, SIDES[sequence[name]], sequence.group()))
            for name in ("one", "two")
        ]
    return tuple(claim for _, _, claim in sorted(found, key=lambda each: each[:2]))


def _claim(rule: Rule, match: Match[str]) -> Claim:
    claim = rule.claim(match, SIDES)
    groups = match.groupdict()
    return Claim(claim.kind, SIDES[groups["e"]], claim.words) if groups.get("e") else claim


def _is_ego(match: Match[str], rule: Rule) -> bool:
    after = match.string[match.end() :]
    before = re.split(r"[。、,.!?()]", match.string[: match.start()])[-1]
    if _DENIED.match(after) or (_is_place(rule) and _PAST.match(after)):
        return False
    if rule.kind in (ClaimKind.KEEP_LANE, _CURVE):
        return True
    subject = _SUBJECT.search(before)
    if subject and not _OWN_AGAIN.search(subject[1]):
        return False
    return not (_MODIFIES.match(after) or _MODIFIES_AFTER_TE.match(after))


def _is_place(rule: Rule) -> bool:
    """Whether the phrase names something that can lie behind: a bend or an intersection."""
    return rule.kind in (_CURVE, ClaimKind.TURN) or rule.kind is _bent


def _sequences(text: str) -> list[Match[str]]:
    """Return 左から右へ where its sentence speaks of several bends."""
    found = []
    for match in _SEQUENCE.finditer(text):
        start = text.rfind("。", 0, match.start()) + 1
        end = text.find("。", match.end())
        if match["one"] != match["two"] and _WINDING.search(text[start : end if end >= 0 else len(text)]):
            found.append(match)
    return found
