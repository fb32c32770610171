"""The styles: tempo ranges, grooves, lines and sounds. `styles` says how to read the patterns."""

from __future__ import annotations

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music.styles import Groove, Line, Style

_POP = {
    "minor": ((0, 5, 2, 6), (0, 3, 5, 6), (0, 6, 5, 6), (0, 5, 3, 4)),
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (3, 0, 4, 5), (0, 3, 4, 3)),
}
_LOOP = {"minor": ((0, 0, 0, 6), (0, 0, 5, 5), (0, 0, 0, 0)), "major": ((0, 0, 3, 3), (0, 0, 0, 4), (0, 0, 0, 0))}
_JAZZY = {"minor": ((0, 3, 0, 3), (0, 5, 3, 4), (3, 6, 0, 0)), "major": ((1, 4, 0, 0), (0, 5, 1, 4), (3, 2, 1, 0))}

_SPARSE_LEAD = ("x---..x-x---....x---..x-x-------", "....x-x-x---........x-x-x---x---")
_BUSY_LEAD = ("x-x-x-..x-x-x-x-x-x-x-..x---x-x-", "x--x--x-x--x--x-x--x--x-x-x-x-x-")
_LONG_LEAD = ("x-------x---x---x-----------....", "x-----------x---x-------x-------")

_HOUSE = Style(
    name="house",
    tempo_range=(118, 128),
    moods=("warm", "clear", "bright"),
    minor_share=0.7,
    progressions=_POP,
    grooves=(
        Groove(
            "four-on-the-floor drums",
            "909",
            {
                "kick": ("X...X...X...X...",),
                "clap": ("....x.......x...",),
                "open hat": ("..x...x...x...x.",),
                "closed hat": ("o.o.o.o.o.o.o.o.", "oo.ooo.ooo.ooo.o", "................"),
                "shaker": ("................", "oxoooxoooxoooxoo"),
            },
        ),
    ),
    basses=(
        Line("sub bass", "sub bass", ("..R...R...R...R.", "R--R--R...R--R..", "..R-..R-..R-..RO"), 36),
        Line("organ bass", "organ bass", ("R..R..R...R..R.O", "..RR..R...RR..O."), 38),
    ),
    chords=(
        Line("warm pad", "warm pad", ("x---------------",), 62, 4, 1.0),
        Line("chord stabs", "chord stab", ("..x-..x-...x-.x-", "x-.x-.x-..x-.x-."), 64, 4, 0.9),
        Line("organ chords", "organ", ("..x...x...x...x.", "x--x--x-....x---"), 62, 3),
        Line("house piano", "piano", ("x--x--x--x--x-x-", "x-..x-.x-.x-x-.."), 62, 3),
    ),
    leads=(None, None, Line("pluck lead", "pluck", _BUSY_LEAD, 74), Line("bell lead", "bell", _SPARSE_LEAD, 76)),
)

_TECHNO = Style(
    name="techno",
    tempo_range=(128, 142),
    moods=("dark", "clear"),
    minor_share=0.95,
    progressions=_LOOP,
    grooves=(
        Groove(
            "hard techno drums",
            "909",
            {
                "kick": ("X...X...X...X...",),
                "clap": ("................", "....x.......x..."),
                "open hat": ("..x...x...x...x.",),
                "closed hat": ("xoxoxoxoxoxoxoxo",),
                "rim": ("...x..x....x..x.", "......x..x....x.", "................"),
            },
        ),
    ),
    basses=(
        Line("acid bass", "acid bass", ("R.RRO.R.RR.OR.RF", "RR.RO.RR.RRO.R.O", "R.OR.RR.OR.RF.RO"), 40, 3, 0.8),
        Line("rumble bass", "rumble bass", ("..RR..RR..RR..RR", ".RRR.RRR.RRR.RRR"), 34),
    ),
    chords=(
        Line("dark stabs", "chord stab", ("...x......x.....", "x..x..x.........", "......x...x....."), 60, 3, 0.7),
        Line("dark pad", "dark pad", ("x---------------",), 57, 3, 1.0),
        Line("synth arpeggio", "arpeggio", ("0120120101201201", "0.1.2.3.2.1.0.1."), 62, 3, 0.8),
    ),
    leads=(None, None, Line("bleep lead", "square lead", ("x..x..x.........x..x......x.....",), 76, 3, 0.6)),
    bars_per_chord=2,
)

_BOOM_BAP = Style(
    name="boom-bap",
    tempo_range=(80, 98),
    moods=("dusty", "warm", "dark"),
    minor_share=0.8,
    progressions=_JAZZY,
    grooves=(
        Groove(
            "swung boom-bap drums",
            "dusty",
            {
                "kick": ("X..x......X.....", "X.....x..xX.....", "X......x..x..x.."),
                "snare": ("....X.......X...", "....X..o....X..o"),
                "closed hat": ("x.x.x.x.x.x.x.x.", "x.xox.x.x.xox.x."),
            },
        ),
    ),
    basses=(
        Line("upright bass", "upright bass", ("R--...R---F-....", "R---..RRF---R-..", "R-..R-.-O-..F-R-"), 38),
        Line("sub bass", "sub bass", ("R-----..R-R-....", "R--R----..F---R-"), 36),
    ),
    chords=(
        Line("electric piano", "electric piano", ("x-------..x-----", "x-----x-x-------"), 60, 4),
        Line("jazz guitar chords", "clean guitar", ("x---..x-....x---", "..x-x---..x-x---"), 58, 4),
        Line("dusty strings", "strings", ("x---------------",), 62, 4, 1.0),
    ),
    leads=(None, None, Line("bell lead", "bell", _SPARSE_LEAD, 74), Line("flute lead", "flute", _SPARSE_LEAD, 76)),
    swing=0.28,
    loose_seconds=0.004,
)

_PUNK = Style(
    name="punk",
    tempo_range=(150, 172),
    moods=("clear", "bright"),
    minor_share=0.35,
    progressions=_POP,
    grooves=(
        Groove(
            "punk drums",
            "acoustic",
            {
                "kick": ("X..xX...X..xX...", "X.....X.X.....X.", "X...X...X...X..."),
                "snare": ("....X.......X...", "..X...X...X...X."),
                "crash": ("................",),
                "closed hat": ("x.x.x.x.x.x.x.x.", "................"),
                "ride": ("................", "x.x.x.x.x.x.x.x."),
            },
        ),
    ),
    basses=(
        Line("picked bass", "picked bass", ("R.R.R.R.R.R.R.R.", "R.R.R.R.R.R.F.F."), 36, 3, 1.6),
        Line("slap bass", "slap bass", ("R.RO..R.R.RO..F.", "R..RO.R...RRO.F."), 38, 3, 0.9),
    ),
    chords=(
        Line("power chords", "power guitar", ("x-x-x-x-x-x-x-x-", "x---x-x-x---x-x-", "x-------x-x-x-x-"), 48, 2),
        Line("distorted organ", "drive organ", ("x-------x-------", "x-x-x-x-x-x-x-x-"), 60, 3),
    ),
    leads=(None, None, Line("guitar lead", "lead guitar", _BUSY_LEAD, 72)),
    loose_seconds=0.003,
)

_DRUM_AND_BASS = Style(
    name="drum and bass",
    tempo_range=(165, 178),
    moods=("dark", "clear", "warm"),
    minor_share=0.85,
    progressions=_POP,
    grooves=(
        Groove(
            "fast breakbeat drums",
            "break",
            {
                "kick": ("X.........X.....", "X.........X..x..", "X.x.......X....."),
                "snare": ("....X.......X...", "....X..o.o..X..o"),
                "closed hat": ("x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo"),
                "ride": ("................", "..x...x...x...x."),
            },
        ),
    ),
    basses=(
        Line("reese bass", "reese bass", ("R---------------", "R-------..R-----", "R-----R---F-----"), 36, 3, 1.0),
        Line("sub bass", "sub bass", ("R-----..R-R-..F-", "R-..R-....R-O---"), 36),
    ),
    chords=(
        Line("airy pad", "airy pad", ("x---------------",), 64, 4, 1.0),
        Line("electric piano", "electric piano", ("x-----------....", "..x-----x---....", "x---..x---......"), 62, 4),
        Line("rave stabs", "chord stab", ("x..x..x.........", "x.....x...x....."), 64, 3, 0.9),
    ),
    leads=(None, None, Line("bell lead", "bell", _LONG_LEAD, 76), Line("pluck lead", "pluck", _SPARSE_LEAD, 76)),
    bars_per_chord=2,
)

_AMBIENT = Style(
    name="ambient",
    tempo_range=(70, 92),
    moods=("warm", "clear", "dark", "bright"),
    minor_share=0.5,
    progressions={"minor": ((0, 5, 2, 6), (0, 3, 0, 5)), "major": ((0, 3, 0, 4), (0, 5, 3, 0))},
    grooves=(
        Groove("no drums", "soft", {}, fills=False),
        Groove(
            "soft percussion",
            "soft",
            {
                "kick": ("x...............", "x.........o....."),
                "rim": ("........o.......", "......o.....o..."),
                "shaker": ("o...o...o...o...", "..o...o...o...o."),
            },
            fills=False,
        ),
    ),
    basses=(Line("drone bass", "drone bass", ("R---------------", "R-----------F---"), 38, 3, 1.0),),
    chords=(
        Line("airy pad", "airy pad", ("x---------------",), 62, 4, 1.0),
        Line("warm pad", "warm pad", ("x---------------",), 60, 3, 1.0),
        Line("slow strings", "strings", ("x---------------",), 62, 3, 1.0),
        Line("harp arpeggio", "harp", ("0-1-2-3-4-3-2-1-", "0---2---1---3---"), 60, 3, 1.5),
    ),
    leads=(None, Line("bell lead", "bell", _LONG_LEAD, 76), Line("flute lead", "flute", _LONG_LEAD, 74)),
    bars_per_chord=2,
)

_SYNTHWAVE = Style(
    name="synthwave",
    tempo_range=(84, 116),
    moods=("warm", "clear", "bright"),
    minor_share=0.75,
    progressions=_POP,
    grooves=(
        Groove(
            "gated drum machine",
            "gated",
            {
                "kick": ("X...X...X...X...", "X.......X.......", "X.......X.x....."),
                "snare": ("....X.......X...",),
                "closed hat": ("x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo"),
            },
        ),
    ),
    basses=(
        Line("pulsing synth bass", "synth bass", ("R.R.R.R.R.R.R.R.", "RRRRRRRRRRRRRRRR", "R.RRR.RRR.RRR.RO"), 36),
    ),
    chords=(
        Line("analog pad", "warm pad", ("x---------------",), 60, 3, 1.0),
        Line("synth arpeggio", "arpeggio", ("0.1.2.3.2.1.2.1.", "0120120101201201"), 66, 3, 0.9),
        Line("synth brass", "synth brass", ("x-----x-x-------", "x-------..x-x---"), 60, 3),
    ),
    leads=(None, Line("saw lead", "saw lead", _LONG_LEAD, 74), Line("square lead", "square lead", _SPARSE_LEAD, 74)),
)

_FUNK = Style(
    name="funk",
    tempo_range=(96, 116),
    moods=("clear", "warm", "bright"),
    minor_share=0.6,
    progressions={
        "minor": ((0, 0, 3, 3), (0, 0, 0, 6), (0, 3, 0, 3)),
        "major": ((0, 0, 3, 3), (0, 3, 0, 4), (1, 4, 1, 4)),
    },
    grooves=(
        Groove(
            "tight funk drums",
            "acoustic",
            {
                "kick": ("X.x.......X..x..", "X..x..x...X.....", "X.....x.x.X....."),
                "snare": ("....X..o.o..X..o", "....X.......X.o."),
                "closed hat": ("xoxoxoxoxoxoxoxo", "x.xxx.xxx.xxx.xx"),
                "tambourine": ("................", "....x.......x..."),
            },
        ),
    ),
    basses=(
        Line("slap bass", "slap bass", ("R..RO..R.RO.F.O.", "R.O.R.RO..R.FRO.", "RR.O..R.RR.O..FO"), 38, 3, 0.8),
        Line("finger bass", "upright bass", ("R..R..RFO..R..F.", "R-.R..OF..R-FR.."), 38, 3, 0.9),
    ),
    chords=(
        Line("funk guitar chops", "clean guitar", ("..x.x..x..x.x.xx", "x.xx..x.x.xx..x."), 64, 3, 0.5),
        Line("clavinet", "clavinet", ("x..xx.x.x..xx.x.", "..x..x.x..x..xx."), 62, 3, 0.7),
        Line("organ chords", "organ", ("x-----..x-x-....", "..x---..x-----x-"), 62, 4),
    ),
    leads=(
        None,
        None,
        Line("synth brass lead", "synth brass", _SPARSE_LEAD, 72),
        Line("saw lead", "saw lead", _BUSY_LEAD, 72),
    ),
    swing=0.12,
    loose_seconds=0.003,
)

STYLES = {
    style.name: style
    for style in (_HOUSE, _TECHNO, _BOOM_BAP, _PUNK, _DRUM_AND_BASS, _AMBIENT, _SYNTHWAVE, _FUNK)
}


def find_style(name: str) -> Style:
    """The style of that name; raises LmdmError with the list of names otherwise."""
    if name not in STYLES:
        raise LmdmError(f"Unknown style {name!r}: choose one of {', '.join(STYLES)}.")
    return STYLES[name]
