"""Without the extra `choreography`, orchestration works, and `import choreography` names the extra."""

import subprocess
import sys

WITHOUT_AIO_PIKA = "import sys; sys.modules['aio_pika'] = None; sys.modules['aiormq'] = None; "


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_AIO_PIKA + code], capture_output=True, text=True, check=False
    )


def test_the_import_of_choreography_names_the_extra() -> None:
    """The error is one sentence with the command to type."""
    ended = run("import choreography")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: the package 'choreography' needs aio-pika; "
        "type: pip install 'durable-sagas[choreography]'"
    )


def test_orchestration_needs_no_client_library_for_rabbitmq() -> None:
    """The packages of orchestration, and the `sagas` command."""
    ended = run("import activities, sagas, sagas.operator, workers, workers._cli.main")

    assert (ended.returncode, ended.stderr) == (0, "")
