"""gemsnn evaluate and gemsnn report."""

import json

import pytest

from gemsnn.commands.cli import main

CHECKED = ("accuracy", "ece", "nll", "brier", "log_likelihood", "presentations", "compartments")


def test_evaluate_prints_one_json_object(trained_run, capsys):
    assert main(["evaluate", str(trained_run), "--votes", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    stored = json.loads((trained_run / "metrics.json").read_text())
    for name in CHECKED:
        assert found[name] == pytest.approx(stored[name])
    assert main(["evaluate", str(trained_run), "--votes", "2", "--json", "--split", "validation"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["compartments"], found["split"], len(found["by_compartments"])) == (2, "validation", 2)


def test_decoders_and_temperature(trained_run, capsys):
    found = {}
    for decoder in ("votes", "likelihood"):
        words = ["evaluate", str(trained_run), "--votes", "3", "--decoder", decoder]
        assert main([*words, "--json"]) == 0
        found[decoder] = json.loads(capsys.readouterr().out)
        assert found[decoder]["decoder"] == decoder
        assert found[decoder]["tempered"].keys() >= {"temperature", "ece", "nll", "brier", "reliability"}
        assert all(row["tempered"]["temperature"] > 0 for row in found[decoder]["by_compartments"])
        assert main(words) == 0
        table = capsys.readouterr().out
        assert f"decoder {decoder}" in table
        for number in (found[decoder], found[decoder]["tempered"]):
            assert f"{number['ece']:5.3f}  {number['nll']:5.3f}  {number['brier']:5.3f}" in table
    assert found["votes"]["nll"] != found["likelihood"]["nll"]
    assert found["votes"]["log_likelihood"] == found["likelihood"]["log_likelihood"]
    # the validation part fits the temperature, so on it no NLL is above that without one
    assert main(["evaluate", str(trained_run), "--split", "validation", "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["tempered"]["nll"] <= held["nll"] + 1e-12


def test_report_is_written_anew(trained_run, capsys):
    page = (trained_run / "report.html").read_text()
    (trained_run / "report.html").unlink()
    assert main(["report", str(trained_run)]) == 0
    assert capsys.readouterr().out.strip() == str(trained_run / "report.html")
    assert (trained_run / "report.html").read_text() == page
