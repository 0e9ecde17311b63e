"""Words of the command line for small trainings."""


def command(root, out, *more: str) -> list[str]:
    """Train on N-MNIST under ``root``, in seconds; more words come after, or instead of the usual ones."""
    few = {
        "--epochs": "2", "--evaluate-every": "1", "--hidden": "4,3", "--votes": "3", "--topology": "layered",
        "--output": "independent", "--memory": "20", "--rule": "gem-cv", "--lr": "0.003", "--compartments": "5",
        "--warm-up": "0",
    }  # fmt: skip
    usual = [word for flag, value in few.items() if flag not in more for word in (flag, value)]
    return ["train", "--data", "nmnist", "--root", str(root), "--out", str(out), *usual, *more]
