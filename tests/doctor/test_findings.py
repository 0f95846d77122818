"""Findings in words, as JSON and as an exit code."""

from cher2.doctor.findings import Diagnosis, Finding

FINE = Finding("libraries", "numpy", "2.4.6")
OPTIONAL = Finding("extras", "cloud", "missing: s3fs", "optional", 'pip install "cher2[cloud]"')
MISSING = Finding("libraries", "scipy", "not installed", "missing", 'pip install "scipy>=1.11"')


def test_what_is_optional_is_no_fault():
    found = Diagnosis((FINE, OPTIONAL))
    assert found.exit_code == 0
    assert str(found).splitlines() == [
        "Libraries",
        "   numpy                    2.4.6",
        "",
        "Extras",
        " - cloud                    missing: s3fs",
        "",
        "If you want what is marked -",
        '   cloud: pip install "cher2[cloud]"',
        "",
        "cher2 has everything that it needs; what is marked - is optional.",
    ]


def test_what_the_base_needs_is_named_with_its_remedy_first():
    found = Diagnosis((FINE, OPTIONAL, MISSING))
    assert found.exit_code == 1
    lines = str(found).splitlines()
    assert " ! scipy                    not installed" in lines
    assert lines.index('   scipy: pip install "scipy>=1.11"') < lines.index('   cloud: pip install "cher2[cloud]"')
    assert lines[-1] == "cher2 lacks what is marked !: scipy."


def test_as_json():
    assert Diagnosis((FINE,)).as_dict() == {
        "ok": True,
        "findings": [{"section": "libraries", "what": "numpy", "found": "2.4.6", "state": "ok", "remedy": ""}],
    }
