"""Pictures for papers and notebooks, which the reports draw with as well.

Every function takes plain numbers or the library's own objects, draws one thing, and returns the matplotlib Axes that
it drew into: those of ``ax=``, or those of a new figure. Colours are Okabe and Ito's, which colour-blind people tell
apart; bands are two standard errors on either side; letters stay letters in PDF and SVG; nobody's settings of
matplotlib are changed::

    import gemsnn

    scores = gemsnn.score(model, data.test)
    ax = gemsnn.plots.reliability(scores)
    gemsnn.plots.save(ax, "reliability.pdf")
"""

from gemsnn.plots.animation import animate
from gemsnn.plots.answers import set_size, set_sizes, votes_over_time
from gemsnn.plots.confidence import confidences, confusion, reliability, selective
from gemsnn.plots.curves import against_compartments, learning, over_time, reference
from gemsnn.plots.looks import COLOURS, save, style
from gemsnn.plots.receptive import convolution_kernels, receptive_field, receptive_fields
from gemsnn.plots.sensor import events, frames
from gemsnn.plots.spikes import compartment_raster, raster, votes

__all__ = [
    "COLOURS",
    "against_compartments",
    "animate",
    "compartment_raster",
    "confidences",
    "confusion",
    "convolution_kernels",
    "events",
    "frames",
    "learning",
    "over_time",
    "raster",
    "receptive_field",
    "receptive_fields",
    "reference",
    "reliability",
    "save",
    "selective",
    "set_size",
    "set_sizes",
    "style",
    "votes",
    "votes_over_time",
]
