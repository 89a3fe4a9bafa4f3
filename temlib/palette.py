"""The palette: one colour for one meaning, in figures, reports, outlines and widgets."""

__all__ = ["COLOURS", "SERIES"]

_ORANGE, _SKY, _GREEN, _YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"  # Okabe and Ito's
_BLUE, _VERMILION, _PINK, _BLACK = "#0072B2", "#D55E00", "#CC79A7", "#000000"
_SAND, _PURPLE, _WINE, _TEAL = "#DDCC77", "#AA4499", "#882255", "#44AA99"  # Tol's
_GREY = "#999999"

COLOURS = {
    "truth": _GREEN,
    "ML": _ORANGE,
    "TL": _SKY,
    "Otsu": _GREY,
    "found": _SKY,
    "learns": _SKY,
    "quiet": _GREY,
    "left out": _VERMILION,
    "filtered out": _SAND,
    "cut by the frame": _PURPLE,
    "particle stroke": _VERMILION,
    "background stroke": _BLUE,
    "synthetic": _PINK,
    "simulated": _WINE,
    "experimental": _BLACK,
    "mark": _YELLOW,
}
"""Okabe and Ito's colours, told apart by colour-blind readers: one each for the hand annotation or
exact truth, the machine-learning label, the transfer-learning prediction, Otsu's threshold, an
annotator's strokes, (with a wine of Tol's and black) the three kinds of micrographs, and marks
burnt into a picture. What becomes of a particle under review is told by a colour (two are Tol's) and by
a sign on it. What a segmenter finds for a user is a prediction, and has its colour, as has the part of a
network that learns; what is frozen, or stands behind what a picture shows, is grey."""

SERIES = (_SKY, _ORANGE, _BLUE, _VERMILION, _GREY, _PINK, _BLACK, _WINE, _TEAL)
"""Colours for as many lines or bars of one chart, in this order."""
