"""All looks at once: what ``cher2 doctor`` tells."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cher2.doctor.computer import computer_findings, look_at_workers
from cher2.doctor.findings import Diagnosis
from cher2.doctor.software import look_at_base, software_findings
from cher2.doctor.window import look_at_window, window_findings


def diagnose() -> Diagnosis:
    """Look at software, window and computer; takes a few seconds.

    Returns
    -------
    Diagnosis
        Without names of users and computers, and without folders.
    """
    with ThreadPoolExecutor(3) as looking:
        base, workers, window = (looking.submit(look) for look in (look_at_base, look_at_workers, look_at_window))
        found = [*software_findings(base.result()), *window_findings(window.result())]
        found += computer_findings(base.result(), workers.result())
    return Diagnosis(tuple(found))
