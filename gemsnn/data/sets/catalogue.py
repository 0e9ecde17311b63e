"""What is known of each data set: what it is, how to obtain, split and bin it; ``docs/data.md`` says the same.

``python -m gemsnn.data.sets.catalogue`` prints that page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gemsnn.data.binning import BinSpec
from gemsnn.data.camera import MNIST_DVS_SCALE4
from gemsnn.data.parts import Listing
from gemsnn.data.readers.nmnist import SIDE as NMNIST_SIDE
from gemsnn.data.recordings import MNIST_DVS_BINS, NMNIST_BINS
from gemsnn.data.sets import braille, neurons, touch
from gemsnn.types import AnyPath

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Entry:
    """A data set.

    Attributes:
        title: its usual name.
        what: what was recorded, and from what.
        obtain: where it comes from.
        cite: its authors, title, place and year.
        licence: of the data, or :data:`NOT_STATED`.
        files: what the folder or file that a user gives must hold.
        splits: which recordings train, validate and test.
        bins: the usual ones.
        sensor: width and height in pixels; a row of channels is so many wide and 1 high.
        classes: how many.
        listing: its recordings, from a folder or file; ``None`` for sets that are read elsewhere.
        sha256: of its file, where the set is one: names and digests. Another is read as well, which a note tells.
    """

    title: str
    what: str
    obtain: str
    cite: str
    licence: str
    files: str
    splits: str
    bins: BinSpec
    sensor: tuple[int, int]
    classes: int
    listing: Callable[[AnyPath], Listing] | None = None
    sha256: tuple[tuple[str, str], ...] = ()


_EMULATED = (MNIST_DVS_SCALE4.width, MNIST_DVS_SCALE4.height)
_DVS_PAPER = (
    "T. Serrano-Gotarredona and B. Linares-Barranco, “Poker-DVS and MNIST-DVS. Their History, How They Were Made, and "
    "Other Details”, Frontiers in Neuroscience 9:481, 2015"
)
_END_TO_END = (
    "the events of all recordings end to end, those of recording `i` from `offsets[i]` to `offsets[i + 1]`"
)

CATALOGUE: dict[str, Entry] = {
    "digits": Entry(
        title="Handwritten digits",
        what="the 1,797 digits of 8 x 8 pixels that come with scikit-learn, redrawn at the size of MNIST's, as an "
        "emulated event camera sees them",
        obtain="nothing is needed: scikit-learn brings the images",
        cite="E. Alpaydin and C. Kaynak, “Optical Recognition of Handwritten Digits”, UCI Machine Learning Repository, "
        "1998 (https://archive.ics.uci.edu/dataset/80)",
        licence="CC BY 4.0",
        files="none",
        splits="1,200 train, 240 validate, 357 test: the same for every seed, stratified",
        bins=BinSpec(),
        sensor=_EMULATED,
        classes=10,
    ),
    "images": Entry(
        title="Images of your own",
        what="any labelled images, such as MNIST's, as an emulated event camera sees them",
        obtain="MNIST is at http://yann.lecun.com/exdb/mnist and at many mirrors",
        cite="of MNIST: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, “Gradient-Based Learning Applied to Document "
        "Recognition”, Proceedings of the IEEE 86, 1998",
        licence=NOT_STATED,
        files="`.npz` files with the arrays `images` and `labels`, or IDX files (`*-images-idx3-ubyte`, plain or "
        "`.gz`, with their labels beside them): a file, or a folder of them",
        splits="10 % test, drawn by the labels alone, and of the rest `--validation` validates; MNIST's official test "
        "images are pooled with the others, which a note tells",
        bins=BinSpec(),
        sensor=_EMULATED,
        classes=10,
    ),
    "mnist-dvs": Entry(
        title="MNIST-DVS",
        what="10,000 digits of MNIST at three scales, moved slowly on a screen before an event camera, 2 to 3 s each",
        obtain="http://www2.imse-cnm.csic.es/caviar/MNISTDVS.html: ten zip files, which may stay as they are",
        cite=_DVS_PAPER,
        licence=NOT_STATED,
        files="`mnist_<digit>_scale<04|08|16>_<0001 .. 1000>.aedat` at any depth of a folder, or in zip files; or an "
        "HDF5 file of events",
        splits="files 0001 to 0900 of each digit train, of which `--validation` validates, and 0901 to 1000 test; "
        "where none of those is there, the last 20 % of each digit, which a note tells",
        bins=MNIST_DVS_BINS,
        sensor=(128, 128),
        classes=10,
    ),
    "nmnist": Entry(
        title="N-MNIST",
        what="MNIST's digits on a screen, before an event camera that makes three small movements, 0.3 s each",
        obtain="https://www.garrickorchard.com/datasets/n-mnist: the two parts as zip files, to be unpacked",
        cite="G. Orchard, A. Jayawant, G. K. Cohen and N. Thakor, “Converting Static Image Datasets to Spiking "
        "Neuromorphic Datasets Using Saccades”, Frontiers in Neuroscience 9:437, 2015",
        licence=NOT_STATED,
        files="`Train/<digit>/<id>.bin` and `Test/<digit>/<id>.bin`",
        splits="its own test part; of its training part `--validation` validates; where there is no test part, the "
        "20 % of recordings with the highest ids, which a note tells",
        bins=NMNIST_BINS,
        sensor=(NMNIST_SIDE, NMNIST_SIDE),
        classes=10,
    ),
    "poker-dvs": Entry(
        title="Poker-DVS",
        what="pips of playing cards (clubs, diamonds, hearts, spades), browsed fast before an event camera and cut "
        "out, at most 32 ms each in the 100 recordings that were looked at",
        obtain="it was released with the article, https://doi.org/10.3389/fnins.2015.00481",
        cite=_DVS_PAPER,
        licence=NOT_STATED,
        files="AEDAT 2.0 files in one folder; the first letters of the name are the class: `cl`, `di`, `he`, `sp`",
        splits="none is stated",
        bins=BinSpec(1_000, 32, crop=(92, 0, 36, 36)),
        sensor=(128, 128),
        classes=4,
    ),
    "dvs128-objects": Entry(
        title="Objects before a DVS128",
        what="seven things, each moved by hand before an event camera for about 18 s: box, cup, mobile phone, box "
        "cutter, mechanical pencil, mouse, scissors",
        obtain="no public address is known",
        cite="none is known",
        licence=NOT_STATED,
        files="AEDAT 2.0 files in one folder, one a thing; the name of the file is the class",
        splits="none is stated: a recording is cut into windows, which are split by time",
        bins=BinSpec(25_000, 40),
        sensor=(128, 128),
        classes=7,
    ),
    "touch": Entry(
        title="Ev-Objects",
        what="36 household objects touched by an event-driven fingertip of 39 taxels and two polarities; 250 bins a "
        f"touch, which hold whether there was an event, and whose width is not stated: {touch.BIN_US // 1000} ms is "
        f"nominal. A bin here holds {touch.MERGED} of them",
        obtain=f"`{touch.ARCHIVE}` of https://github.com/clear-nus/TactileSGNet",
        cite="F. Gu, W. Sng, T. Taunyazov and H. Soh, “TactileSGNet: A Spiking Graph Neural Network for Event-based "
        "Tactile Object Recognition”, IROS 2020 (arXiv 2008.08046)",
        licence=NOT_STATED,
        files=f"`{touch.ARCHIVE}` as it is published, or unpacked; or `{touch.FILE}` with the arrays `train_*` and "
        "`test_*`: `offsets`, `bin`, `taxel` (0 .. 38), `polarity` (1 is taken as ON) and `label`; "
        f"{_END_TO_END}",
        splits="its own: 576 train, of which `--validation` validates, and 144 test",
        bins=touch.BINS,
        sensor=(touch.TAXELS, 1),
        classes=touch.OBJECTS,
        listing=touch.listing,
        sha256=tuple(touch.SHA256.items()),
    ),
    "braille": Entry(
        title="NUSkin Braille",
        what="Braille letters (A to Z and the space) read by NUSkin, an event-driven skin of 80 taxels, with "
        "deliberate jitter of its position, about 2.8 s each. An event is ON where its taxel's value has risen since "
        "the taxel's event before, OFF where it has fallen",
        obtain="no public address is known",
        cite="of the sensor: T. Taunyazov, L. S. Song, E. Lim, H. H. See, D. Lee, B. C. K. Tee and H. Soh, “Extended "
        "Tactile Perception: Vibration Sensing through Tools and Grasped Objects”, IROS 2021 (arXiv 2106.00489)",
        licence=NOT_STATED,
        files=f"`{braille.FILE}` with the arrays `offsets`, `t_us`, `taxel` (1 .. 80; -1 is noise), `adc` (the taxel's "
        f"value), `label`, `repetition` and `letters`; {_END_TO_END}",
        splits="by repetition, so that none is in two parts: those that end in 2 or 7 test, in 8 validate, all others "
        "train (248, 125 and 706 recordings). The official test repetitions are not in the file",
        bins=braille.BINS,
        sensor=(braille.TAXELS, 1),
        classes=braille.LETTERS,
        listing=braille.listing,
        sha256=tuple(braille.SHA256.items()),
    ),
    "neurons": Entry(
        title="132 neurons, seven pictures",
        what="spikes of 132 neurons of a macaque's inferior temporal cortex, recorded one after the other while one of "
        "seven pictures was shown at one of three places: 1 s, at whose middle the picture appears. A recording here "
        "is a population: one trial of each neuron, all of the same picture. Nothing can be known before the picture "
        "appears, so that a warm-up of 0.5 suits",
        obtain="the tutorials of the Neural Decoding Toolbox, http://www.readout.info, and of its successor, "
        "https://github.com/emeyers/NeuroDecodeR",
        cite="Y. Zhang, E. M. Meyers, N. P. Bichot, T. Serre, T. A. Poggio and R. Desimone, “Object decoding with "
        "attention in inferior temporal cortex”, PNAS 108, 8850 to 8855, 2011",
        licence=NOT_STATED,
        files=f"`{neurons.FILE}` with the arrays `spike_offsets` (spikes of all neurons end to end), `spike_trial`, "
        "`spike_ms`, `trials` (of each neuron), `stimulus` and `position` (of all neurons' trials end to end), and "
        "`stimuli` (names)",
        splits="no trial of a neuron is in two parts: of those of each picture, "
        f"{neurons.SHARES['test']:.0%} are kept to test and {neurons.SHARES['validation']:.0%} to validate, and "
        f"{neurons.POPULATIONS['training']}, {neurons.POPULATIONS['validation']} and {neurons.POPULATIONS['test']} "
        "populations of each picture are drawn to train, validate and test. Populations of a part share trials, so "
        "that fewer of them are independent than there are",
        bins=neurons.BINS,
        sensor=(132, 1),
        classes=7,
        listing=neurons.listing,
        sha256=tuple(neurons.SHA256.items()),
    ),
}
"""By the name that a user gives."""


def page() -> str:
    """``docs/data.md``, in Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Data sets"
    yield ""
    yield (
        "What is known of each set that has a name here. None of the data comes with gemsnn: obtain it where it is "
        "published, and mind its licence, which most sets do not state. Where a SHA-256 is given, a file with another "
        "one is read all the same, and a note says so."
    )
    yield ""
    yield "| name | set | classes | sensor | usual bins |"
    yield "|---|---|---|---|---|"
    for name, entry in CATALOGUE.items():
        yield f"| `{name}` | {entry.title} | {entry.classes} | {_sensor(entry)} | {_bins(entry.bins)} |"
    for name, entry in CATALOGUE.items():
        yield ""
        yield f"## {entry.title} (`{name}`)"
        yield ""
        yield f"{entry.what[0].upper()}{entry.what[1:]}."
        yield ""
        yield f"- **How to obtain it**: {entry.obtain}."
        yield f"- **Cite**: {entry.cite}."
        yield f"- **Licence of the data**: {entry.licence}."
        yield f"- **Files**: {entry.files}."
        yield f"- **Parts**: {entry.splits}."
        for file, digest in entry.sha256:
            yield f"- **SHA-256** of `{file}`: `{digest}`."
    yield ""
    yield "## Sets of the library tonic"
    yield ""
    yield (
        "With the extra `tonic` (`pip install 'gemsnn[tonic]'`) the data sets of https://github.com/neuromorphs/tonic "
        "are read by the names of its classes, such as `NMNIST`, `SHD`, `SSC`, `DVSGesture`, `CIFAR10DVS`: those of "
        "labelled recordings. The folder is the one in which tonic keeps its sets, and what is missing there tonic "
        "downloads. The parts are tonic's; where it has one only, the last 20 % of each class test. tonic is under the "
        "GPL 3.0, and each set under its own licence."
    )
    yield ""
    yield "## Data of your own"
    yield ""
    yield (
        "Files of any of the formats in [formats.md](formats.md) are the set `events`. Arrays, events and spike trains "
        "in memory, and what comes one by one and does not fit into it, are the subject of [memory.md](memory.md)."
    )
    yield ""


def _sensor(entry: Entry) -> str:
    width, height = entry.sensor
    return f"{width} x {height}" if height > 1 else f"{width} in a row"


def _bins(bins: BinSpec) -> str:
    """Bins in words."""
    width = f"{bins.bin_us / 1000:g} ms"
    crop = "" if bins.crop is None else f", {bins.crop[2]} x {bins.crop[3]} pixels from {bins.crop[:2]} on"
    polarity = "two polarities" if bins.polarity == "two" else "one polarity"
    return f"{bins.steps} of {width}, {polarity}{crop}"


if __name__ == "__main__":
    print(page(), end="")
