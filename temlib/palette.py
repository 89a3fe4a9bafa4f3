"""The palette: one colour for one meaning, in figures, reports, outlines and widgets."""

__all__ = ["COLOURS", "SERIES"]

COLOURS = {
    "truth": "#009E73",
    "ML": "#E69F00",
    "TL": "#56B4E9",
    "Otsu": "#999999",
    "found": "#56B4E9",
    "left out": "#D55E00",
    "filtered out": "#DDCC77",
    "cut by the frame": "#AA4499",
    "particle stroke": "#D55E00",
    "background stroke": "#0072B2",
    "synthetic": "#CC79A7",
    "simulated": "#882255",
    "experimental": "#000000",
    "mark": "#F0E442",
}
"""Okabe and Ito's colours, told apart by colour-blind readers: one each for the hand annotation or
exact truth, the machine-learning label, the transfer-learning prediction, Otsu's threshold, an
annotator's strokes, (with a wine and a black of our own) the three kinds of micrographs, and marks
burnt into a picture. What becomes of a particle under review is told by a colour (two are Tol's) and by
a sign on it. What a segmenter finds for a user is a prediction, and has its colour."""

SERIES = ("#56B4E9", "#E69F00", "#0072B2", "#D55E00", "#999999", "#CC79A7", "#000000", "#882255", "#44AA99")
"""Colours for as many lines or bars of one chart, in this order."""
