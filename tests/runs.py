"""Words of the command line for small trainings."""

FORMER = {
    "--topology": "layered", "--output": "independent", "--memory": "20", "--rule": "gem-cv", "--lr": "0.003",
    "--compartments": "5", "--warm-up": "0", "--shift": "0", "--rotate": "0", "--zoom": "0",
    "--decoder": "votes",
}  # fmt: skip
"""What was the default until 0.1: hidden groups that hear each other, taught by several compartments."""


def words_of(usual: dict[str, str], *more: str) -> list[str]:
    """Flags with their usual values, but for those that come after."""
    return [word for flag, value in usual.items() if flag not in more for word in (flag, value)]


def command(root, out, *more: str) -> list[str]:
    """Train on N-MNIST under ``root``, in seconds; more words come after, or instead of the usual ones."""
    few = {"--epochs": "2", "--evaluate-every": "1", "--hidden": "4,3", "--votes": "3", **FORMER}
    usual = words_of(few, *more)
    return ["train", "--data", "nmnist", "--root", str(root), "--out", str(out), *usual, *more]
