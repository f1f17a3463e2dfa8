"""Which manoeuvre an English text says of the ego vehicle.

Direction words count only inside a phrase that names a manoeuvre ("left curve", "nudge to the right"), and only where
the phrase is neither denied, nor past, nor said of somebody else ("the truck turning left"). In the outputs of a real
model most direction words speak of other road users, so a search for the words alone is wrong.
"""

from __future__ import annotations

import re
from re import Match

from touge.language.claim import Claim, ClaimKind, Rule, accepted
from touge.motion.labels import Direction

SIDES = {"left": Direction.LEFT, "right": Direction.RIGHT}

_D = r"(?P<d>left|right)(?:wards?)?"
_TO = r"(?:(?:back |over |out |off )?(?:to|towards?|into|onto) )?(?:the |its |our |a )?"
_HOW = (
    r"(?:[a-z]+ly |a bit |a little |hard |over |out |back |off |in-lane |within (?:the |our |its )?lane "
    r"|in (?:the |our )?lane |position |(?:its|our|the) (?:path|position) )*"
)
_ADJECTIVES = (
    r"(?:(?:very |fairly |quite )?(?:sharp|tight|gentle|slight|mild|moderate|wide|long|short|blind|sweeping|upcoming"
    r"|next|smooth|gradual|steep|downhill|uphill|banked|hard|road|mountain|hairpin|approaching|first|second|constant|broad|"
    r"medium|soft|easy|big|small|double|single|closing|opening|following|coming)[ -])*"
)
_BEND = r"(?:curves?|bends?|curvature|hairpins?|corners?|sweepers?|handers?|switchbacks?|kinks?)"
_ROAD = (
    r"(?:road|roadway|lane|street|path|highway|route|ramp|carriageway|track|course|motorway|expressway|alignment|section"
    r"|way|it|which|pavement|exit)"
)
_VEER = r"(?:turn|veer|sweep|wind|swing|arc|head|lead|twist|steer|hook|kink|slope|deviate|goe?|snake?)(?:s|ing|es)?"
_STEER = (
    r"(?:nudg(?:e|es|ing)|edg(?:e|es|ing)|shift(?:s|ing)?|mov(?:e|es|ing)|veer(?:s|ing)?|bear(?:s|ing)?|swerv(?:e|es|ing)"
    r"|drift(?:s|ing)?|eas(?:e|es|ing)|bias(?:es|ing)?|offset(?:s|ting)?|deviat(?:e|es|ing)|steer(?:s|ing)?"
    r"|pull(?:s|ing)?|hug(?:s|ging)?|lean(?:s|ing)?|inch(?:es|ing)?|slid(?:e|es|ing)|swing(?:s|ing)?|squeez(?:e|es|ing)|dodg(?:e|es|ing)|jog(?:s|ging)?|adjust(?:s|ing)?"
    r"|keep(?:s|ing)? (?=(?:to the )?(?:left|right) (?:at|of) the (?:fork|split)))"
)
_INTO_LANE = (
    r"(?:chang|switch|shift|mov|merg|cut|transition|cross|com|get|go|return|enter|tak|pull|slid|eas|steer"
    r"|turn(?= into the \w+ lane))(?:e|es|s|ing|ting)?"
)
_NO_OBJECT = r"(?![ -](?:lane|signal|arrow|indicator|light|only|pocket|bay|phase|box|blinker|mirror)s?\b)"


def _steered(match: Match[str]) -> ClaimKind:
    """A steering verb speaks of a bend where the rest of its clause does."""
    rest = re.split(r"[,.;:]| since | because ", match.string[match.end() :], maxsplit=1)[0]
    return ClaimKind.CURVE if re.search(rf"\b(?:{_BEND}|follow(?:ing)? the (?:road|lane))\b", rest) else ClaimKind.NUDGE


def _rule(kind: ClaimKind | None, pattern: str) -> Rule:
    return Rule(kind or _steered, re.compile(rf"\b{pattern}\b"))


_CURVE, _TURN = ClaimKind.CURVE, ClaimKind.TURN
RULES = (
    _rule(_CURVE, rf"{_D}[ -](?:hand[ -])?(?:bending |curving |turning )?{_ADJECTIVES}{_BEND}"),
    _rule(_CURVE, rf"{_D}(?:-hand)?[ -](?:curving|bending) {_ADJECTIVES}{_ROAD}"),
    _rule(
        _CURVE,
        rf"{_BEND} (?:that |which |ahead |is )*(?:to|towards?|going|leading|bending|turning|heading|goes|leads|bends"
        rf"|turns) {_HOW}{_TO}{_D}",
    ),
    _rule(_CURVE, rf"(?<!a )(?<!the )(?:curv|bend)(?:e|es|s|ing) {_HOW}(?:away |round |around |down |up )?{_TO}{_D}"),
    _rule(_CURVE, rf"{_ROAD} (?:\w+ ){{0,3}}?(?:{_VEER}|is turning) {_HOW}{_TO}{_D}"),
    _rule(_TURN, rf"turn(?:s|ing)? {_HOW}(?:to the |towards? the )?{_D}{_NO_OBJECT}"),
    _rule(_TURN, rf"{_D}[ -](?:hand[ -])?{_ADJECTIVES}turn{_NO_OBJECT}"),
    _rule(_TURN, rf"(?:make|making|take|taking|hang) (?:a |the |your )?(?:\w+ )?{_D}(?= at| onto| into| here|$|[,.;])"),
    _rule(
        ClaimKind.LANE_CHANGE,
        rf"{_INTO_LANE} (?:lanes? )?{_HOW}{_TO}(?:adjacent |next |far |inner |outer )?"
        rf"(?P<d>left|right)(?:-hand|most)?(?: hand| adjacent| travel| through)? lane",
    ),
    _rule(ClaimKind.LANE_CHANGE, rf"(?:chang(?:e|es|ing)|switch(?:es|ing)?) lanes? {_HOW}{_TO}{_D}"),
    _rule(ClaimKind.LANE_CHANGE, rf"lane[ -]chang(?:e|es|ing) (?:manoeuvre |maneuver )?{_HOW}{_TO}{_D}"),
    _rule(ClaimKind.LANE_CHANGE, rf"{_D}[ -](?:hand[ -])?(?:lane[ -]chang(?:e|ing)|merge)"),
    _rule(ClaimKind.LANE_CHANGE, rf"merg(?:e|es|ing) {_HOW}(?:(?:on|in)to the \w+ )?{_TO}{_D}"),
    _rule(None, rf"{_STEER} ?{_HOW}{_TO}{_D}(?![ -](?:hand )?(?:lane|turn))"),
    _rule(None, rf"{_D}[ -](?:nudge|shift|offset|steer(?:ing)?|swerve)"),
    _rule(None, rf"(?:shift|offset|nudge|movement|steering|input|adjustment|deviation) {_TO}{_D}"),
    _rule(
        ClaimKind.STRAIGHT,
        r"(?:go|going|goes|driv(?:e|es|ing)|continu(?:e|es|ing)|proceed(?:s|ing)?|keep(?:s|ing)?"
        r"|head(?:s|ing)?|stay(?:s|ing)?|travel(?:s|ing|ling)?|mov(?:e|es|ing)|carry on)"
        r" (?:going |driving |moving |on |along |through |steadily )*straight",
    ),
    _rule(ClaimKind.STRAIGHT, r"straight (?:\w+ )?(?:road|roadway|section|stretch|segment|street|lane|path|highway)"),
    _rule(ClaimKind.STRAIGHT, rf"{_ROAD} (?:ahead )?(?:is|runs|continues|stays|remains) (?:\w+ )?straight"),
    _rule(
        ClaimKind.KEEP_LANE,
        r"(?:keep|maintain|stay|hold|remain|center|centre)(?:s|ing)?(?: in| to| within| on)?"
        r"(?: the| its| our| my)?(?: current| same| own| present| ego)? lane",
    ),
    _rule(ClaimKind.KEEP_LANE, r"(?:follow(?:s|ing)? (?:the|our|this) (?:\w+ )?(?:road|lane)|lane[ -]keeping)"),
)

_AGENT = (
    r"(?:cars?|vehicles?|trucks?|bus(?:es)?|vans?|lorr(?:y|ies)|motorcycl(?:es?|ists?)|motorbikes?|scooters?|mopeds?"
    r"|bikes?|bicycles?|bicyclists?|cyclists?|riders?|pedestrians?|persons?|people|child(?:ren)?|kids?|wom[ae]n|m[ae]n"
    r"|workers?|traffic|trailers?|taxis?|cabs?|suvs?|sedans?|coupes?|minivans?|hatchbacks?|wagons?|tankers?|semis?|jeeps?|limousines?|excavators?|forklifts?|pickups?|ambulances?|tractors?|dogs?|deer|animals?|leads?"
    r"|leaders?|cones?|someone|others?|another|tram|trains?|convoy|cut-in|lead)"
)
_SUBJECT = re.compile(
    rf"^ ?(?:(?:a|an|the|another|one|two|some|several|any|this|that|there is an?|oncoming|parked|preceding|front) "
    rf"(?:[\w'-]+ ){{0,3}}?)?{_AGENT}\b"
)
_EGO = re.compile(
    r"\b(?:the )?(?:ego|host|own|self|subject|our|my)(?:[ -](?:vehicle|car|driver|truck))\b|\b(?:ego|we|i|the av|you)\b"
)
_BREAK = re.compile(r"\b(?:and|then|before|while|by|so|but|or|ego_|with an?|therefore|thus|must|should|will need)\b")
_PURPOSE = re.compile(r"\bto\b(?=[^,]*$)")
_CAUSE = re.compile(r"\b(?:since|because|as|when|while|if|until|due to|that|so that|for|behind)\b")
_DENIED = re.compile(
    r"(?:\b(?:not|never|without|no|cannot|nor|neither|unable to|instead of|rather than|no longer|refrain from)\b|n't\b)"
    r"(?: [\w'-]+){0,4} ?$|\bavoid(?:s|ing)?(?: a| the| any)? ?$"
)
_PAST = re.compile(
    r"\b(?:after|past|exit(?:s|ing|ed)?|leav(?:e|es|ing)|left behind|out of|end of|clear(?:ed|ing)?|complet(?:ed|ing)"
    r"|finish(?:ed|ing)?|beyond|passed|negotiated|done with|behind)(?: (?:of|a|the|this|that|its|our))*"
    rf"(?: {_ADJECTIVES})? ?$"
)
_BEHIND = re.compile(r"^ (?:(?:is|was|has) (?:now )?(?:behind|over|finished|done|passed|ending|ended)|ends|ended)\b")
_LOCATED = re.compile(r"\b(?:on|at|near|from)(?: the| a)? ?$")
_THIRD_PERSON = re.compile(
    r"^(?:turns|merges|moves|changes|cuts|nudges|swerves|shifts|drifts|veers|pulls|crosses|switches|goes|drives|edges"
    r"|bears|eases|proceeds|continues|steers)\b"
)
_NEUTRAL = re.compile(
    r"\b(?:both )?(?:the )?(?:left|right)(?:-hand)?(?: side)?(?: (?:and|or|nor|and/or|&) |/| / )"
    r"(?:to )?(?:the )?(?:left|right)\b"
)
_WINDING = re.compile(r"\b(?:s-? ?(?:curves?|bends?)|esses|chicane|curves?|bends?|switchbacks|corners|hairpins)\b")
_SEQUENCE = re.compile(
    r"\b(?P<one>left|right)\b(?P<between>(?:[ -](?:hand|curve|bend|hander)s?)?(?:-to-|-then-|-|,? (?:and )?"
    r"(?:then|next)(?: (?:back |bends |curves |turns |immediately |sharply |a |the |to ){0,4}| )"
    r"|,? followed by (?:a |another )?|,? (?=(?:left|right) s-)|, ))(?P<two>left|right)\b"
)


def english_claims(text: str) -> tuple[Claim, ...]:
    """Return what a normalised, lower-case text claims of the ego vehicle, in its order."""
    plain = _NEUTRAL.sub(lambda match: "_" * len(match.group()), _EGO.sub("ego_", text))
    found = [(match.start(), rule.claim(match, SIDES)) for rule, match in accepted(RULES, plain, _is_ego)]
    for sequence in _sequences(plain):
        found = [(at, claim) for at, claim in found if not _meets(sequence, at, claim)]
        at = sequence.start()
        found += [(at, _of_sequence(sequence, "one")), (at + 1, _of_sequence(sequence, "two"))]
    return tuple(claim for _, claim in sorted(found, key=lambda pair: pair[0]))


def _is_ego(match: Match[str], rule: Rule) -> bool:
    before = re.split(r"[,.;:!?()]", match.string[: match.start()])[-1]
    own = _BREAK.split(before)[-1]
    if _DENIED.search(own) or _PAST.search(before) or _BEHIND.match(match.string[match.end() :]):
        return False
    if match.group().endswith(("corner", "corners")) and _LOCATED.search(before):
        return False
    if rule.kind in (_CURVE, ClaimKind.KEEP_LANE) or _is_road(match):
        return True
    return not _is_of_another(match, before, own)


def _is_road(match: Match[str]) -> bool:
    return match.group().startswith(("straight", "road", "lane is", "path is"))


def _is_of_another(match: Match[str], before: str, own: str) -> bool:
    """Whether somebody else does it: as the nearest subject, in a clause of the cause, or in the third person."""
    if "ego_" in before and not re.search(rf"ego_.*\b{_AGENT}\b", before):
        return False
    if _THIRD_PERSON.match(match.group()):
        return True
    clause = _CAUSE.split(before)[-1]
    if _SUBJECT.match(clause) and not _BREAK.search(clause):
        return True
    awaited = re.search(r"\bwait(?:s|ing)?\b", before) is not None
    subject = own if awaited else _PURPOSE.split(own)[-1]
    by_other = re.search(rf"\b{_AGENT}(?:'s)?(?: [\w'-]+){{0,5}} ?$", subject) is not None
    of_other = re.match(rf" (?:of|by|from) (?:\w+ ){{0,3}}{_AGENT}\b", match.string[match.end() :]) is not None
    return by_other or (of_other and "turn" in match.group().split())


def _sequences(text: str) -> list[Match[str]]:
    """Return 'left then right' where its sentence speaks of bends."""
    found = []
    for match in _SEQUENCE.finditer(text):
        start = max(text.rfind(mark, 0, match.start()) for mark in ".;!?") + 1
        end = min((at for at in (text.find(mark, match.end()) for mark in ".;!?") if at >= 0), default=len(text))
        if match["one"] != match["two"] and _WINDING.search(text[start:end]):
            found.append(match)
    return found


def _meets(sequence: Match[str], at: int, claim: Claim) -> bool:
    """Whether a claim overlaps a sequence that says more."""
    return at < sequence.end() and at + len(claim.words) > sequence.start()


def _of_sequence(sequence: Match[str], name: str) -> Claim:
    return Claim(_CURVE, SIDES[sequence[name]], sequence.group())
