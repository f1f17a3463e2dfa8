"""Japanese phrasings of manoeuvres, for `sentences`. Text only: slots are filled there.

Each says no more than label and features know. Slots: {side}, {other}, {tight} (attributive), {where}, {angle}, {speed}
(plain form: 減速する) and {speeding} (te-form: 減速して).
"""

from __future__ import annotations

from touge.language.vocabulary import Pace, Phrasings, Vocabulary
from touge.motion.labels import Direction

JAPANESE = Vocabulary(
    sides={Direction.LEFT: "左", Direction.RIGHT: "右"},
    tightness={
        "<15": "ヘアピンのような",
        "15-30": "非常にきつい",
        "30-60": "きつい",
        "60-100": "急な",
        "100-150": "やや急な",
        "150-280": "緩やかな",
        "280-460": "ごく緩やかな",
    },
    near="すぐ先",
    far="約{metres}m先",
    paces={
        Pace.SLOWER: (
            {"speed": "減速する", "speeding": "減速して"},
            {"speed": "速度を落とす", "speeding": "速度を落として"},
            {"speed": "スピードを抑える", "speeding": "スピードを抑えて"},
        ),
        Pace.SAME: (
            {"speed": "速度を保つ", "speeding": "速度を保って"},
            {"speed": "速度を維持する", "speeding": "速度を維持して"},
            {"speed": "一定の速度で走る", "speeding": "一定の速度で"},
        ),
        Pace.FASTER: (
            {"speed": "加速する", "speeding": "加速して"},
            {"speed": "速度を上げる", "speeding": "速度を上げて"},
            {"speed": "緩やかに加速する", "speeding": "緩やかに加速して"},
        ),
    },
    phrasings=Phrasings(
        curve=(
            "{where}から{side}に約{angle}度曲がる{tight}カーブなので、{speed}。",
            "{where}の{tight}{side}カーブに合わせて{speed}。",
            "{where}に{tight}{side}カーブがあるため、{speed}。",
            "道路が{where}で{side}へ約{angle}度曲がっているので、{speed}。",
            "{where}の{tight}{side}カーブに沿って{speeding}進む。",
            "{speeding}、{tight}{side}カーブを曲がる。",
            "前方の道は{side}へ曲がる。{tight}カーブなので{speed}。",
            "道なりに{side}へ曲がり、{speeding}{tight}カーブを走行する。",
            "{where}、{tight}{side}カーブ。{speed}。",
            "ハンドルを{side}に切り、{speeding}{where}の{tight}カーブを曲がる。",
        ),
        s_curve=(
            "{where}の{tight}S字カーブ({side}、{other})に合わせて{speed}。",
            "{side}から{other}へ続く{tight}S字カーブのため、{speed}。",
            "{where}の{tight}{side}カーブに続いて{other}カーブがあるので、{speed}。",
            "{side}カーブの後に{other}カーブが続くため、{speed}。",
            "道路は{side}、{other}と続くS字カーブなので、{speed}。",
            "{speeding}、{tight}S字カーブを{side}、{other}の順に走行する。",
            "{where}のS字カーブでは、まず{side}、次いで{other}へ曲がる。{speed}。",
            "{where}の連続カーブを{side}→{other}の順に走る。{speed}。",
        ),
        straight=(
            "前方は直線道路なので、{speed}。",
            "このまま直進し、{speed}。",
            "まっすぐ進み、{speed}。",
            "{speeding}直線区間を走行する。",
            "道がまっすぐ続くので、{speed}。",
            "カーブはないため、直進して{speed}。",
            "{speeding}直線道路を進む。",
            "前方に曲がりはなく、直進しながら{speed}。",
        ),
        turn=(
            "{where}の交差点を{side}折する。{speed}。",
            "{where}の交差点で{speeding}{side}折する。",
            "{where}で{side}折する。{speed}。",
            "{where}の交差点で{side}に約{angle}度曲がる。{speed}。",
            "{speeding}、交差点を{side}に曲がる。",
            "{where}の角を{side}に曲がるため、{speed}。",
            "交差点を{side}折し、{speed}。",
            "{where}での{side}折に備え、{speed}。",
        ),
        lane_change=(
            "{side}へ車線変更し、{speed}。",
            "{side}の車線に移り、{speed}。",
            "{side}車線へ車線変更する。{speed}。",
            "{speeding}{side}車線に移動する。",
            "{side}に進路変更し、{speed}。",
            "隣の{side}車線へ移り、{speed}。",
            "{side}側の車線に入り、{speed}。",
            "{side}へ進路を変え、{speed}。",
        ),
        stop=(
            "停止して待つ。",
            "停止し、そのまま待機する。",
            "止まって状況を見る。",
            "ブレーキをかけて停止する。",
            "停止状態を保つ。",
            "その場で停止する。",
            "車両を停止させる。",
            "止まったまま待つ。",
        ),
        creep=(
            "徐行して前に進む。",
            "歩くほどの速さで進む。",
            "ごく低速で前進する。",
            "ゆっくり前に出る。",
            "慎重に少しずつ進む。",
            "数メートルだけゆっくり進む。",
            "徐行を続ける。",
            "ゆっくり動き出す。",
        ),
        other=(
            "道なりに進み、{speed}。",
            "車線を維持し、{speed}。",
            "現在の車線を保ち、{speed}。",
            "道路に沿って{speeding}走行する。",
            "車線に沿って{speeding}進む。",
            "道なりに{speeding}走行する。",
            "車線を維持して{speed}。",
            "同じ車線を走り、{speed}。",
        ),
    ),
)
