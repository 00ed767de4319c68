"""The set-up prints a line per phase; the output of package managers goes to a log, named on failure.

The scripts run in a copy of the project, with fake programs on the PATH.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = (
    *("bash", "cat", "cksum", "chmod", "cp", "dirname", "env", "flock", "grep"),
    *("mkdir", "readlink", "rm", "sed", "tail", "tee"),
)
NOISE = "debconf: delaying package configuration"
PYTHON = f"""#!/bin/sh
case "$*" in
    *_base_executable*) echo "$0" ;;
    *"import ensurepip"*) exit "$ENSUREPIP" ;;
    *python%d.%d-venv*) echo python3.11-venv ;;
    *"-m venv"*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python" ;;
    *install*) echo "{NOISE}"; echo "no matching distribution" >&2; exit "$PIP" ;;
esac
"""
APT_GET = f"""#!/bin/sh
echo "{NOISE}"
case "$*" in *rabbitmq-server*) [ "$APT" = 0 ] && cp "$0" "$RABBITMQ" ;; esac
exit "$APT"
"""


class Project:
    """A copy of the set-up scripts, and fake programs on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder / "project", folder / "bin"
        self.rabbitmq, self.policy = folder / "packages" / "rabbitmq-server", folder / "policy-rc.d"
        for each in (self.bin, self.rabbitmq.parent):
            each.mkdir()
        shutil.copytree(ROOT / "deploy", self.folder / "deploy")
        script = self.folder / "deploy" / "rabbitmq.sh"
        text = script.read_text().replace("/usr/sbin/policy-rc.d", str(self.policy))
        text = re.sub(r"\{/usr/lib/rabbitmq/bin,[^}]*\}", str(self.rabbitmq.parent), text)
        script.write_text(text)
        for name in ("pyproject.toml", "requirements.lock"):
            (self.folder / name).write_text(name)
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.install("python3", PYTHON)
        self.install("apt-get", APT_GET)
        self.install("sudo", '#!/bin/sh\nshift\nexec "$@"\n')
        for name in ("sleep", "systemctl"):
            self.install(name, "#!/bin/sh\n")

    def install(self, name: str, program: str) -> None:
        (self.bin / name).write_text(program)
        (self.bin / name).chmod(0o755)

    def run(
        self, script: str, environment: Mapping[str, str] | None = None, *, answer: str | None = None
    ) -> tuple[int, list[str]]:
        """Runs a script, and returns the exit code and the printed lines, durations as `0 s`.

        With an answer, a person at a terminal types the answer; otherwise there is no terminal.
        """
        person, terminal = os.openpty()
        os.write(person, f"{answer}\n".encode())
        ended = subprocess.run(
            [str(self.folder / "deploy" / script)],
            env={
                "PATH": str(self.bin),
                "RABBITMQ": str(self.rabbitmq),
                "ENSUREPIP": "0",
                "PIP": "0",
                "APT": "0",
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL if answer is None else terminal,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for descriptor in (person, terminal):
            os.close(descriptor)
        assert ended.stdout == ""
        return ended.returncode, re.sub(r"\b\d+ s\b", "0 s", ended.stderr).splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_first_set_up_prints_a_line_for_each_phase(project: Project) -> None:
    """The output of pip goes to a log, and a second set-up prints nothing."""
    assert project.run("setup.sh") == (
        0,
        ["setup: Python environment … 0 s", "setup: Python packages … 0 s"],
    )
    assert NOISE in (project.folder / ".setup" / "Python-packages.log").read_text()

    assert project.run("setup.sh") == (0, [])


def test_a_changed_lock_updates_the_environment(project: Project) -> None:
    """The environment is kept, and only the packages are installed again."""
    project.run("setup.sh")
    (project.folder / "requirements.lock").write_text("changed")

    assert project.run("setup.sh") == (0, ["setup: Python packages … 0 s"])


def test_a_failing_phase_names_its_log_and_shows_the_last_lines(project: Project) -> None:
    """The exit code is not 0, and the next set-up repeats the phase."""
    code, lines = project.run("setup.sh", {"PIP": "1"})

    assert code == 1
    assert lines == [
        "setup: Python environment … 0 s",
        "setup: Python packages … failed after 0 s; the log .setup/Python-packages.log ends with:",
        f"  {NOISE}",
        "  no matching distribution",
    ]
    assert project.run("setup.sh") == (0, ["setup: Python packages … 0 s"])


def test_a_missing_venv_module_is_installed_without_noise(project: Project) -> None:
    """Debian ships the module in a separate package."""
    assert project.run("setup.sh", {"ENSUREPIP": "1"}) == (
        0,
        [
            "setup: python3.11-venv … 0 s",
            "setup: Python environment … 0 s",
            "setup: Python packages … 0 s",
        ],
    )


def test_without_apt_the_missing_venv_module_is_named(project: Project) -> None:
    """The error shows the command to type."""
    (project.bin / "apt-get").unlink()

    code, lines = project.run("setup.sh", {"ENSUREPIP": "1"})

    assert code == 1
    assert lines[0].endswith("python3 cannot make an environment: its module ensurepip is missing.")
    assert lines[1] == "  On Debian or Ubuntu type:  sudo apt-get install python3.11-venv"


def test_a_missing_python_is_named(project: Project) -> None:
    """The error shows the commands to type."""
    (project.bin / "python3").unlink()

    code, lines = project.run("setup.sh")

    assert code == 1
    assert lines[0] == "setup: no Python 3.11 or newer was found on the PATH."
    assert lines[1] == "  On Debian or Ubuntu type:  sudo apt-get install python3 python3-venv"


def test_rabbitmq_is_installed_without_noise(project: Project) -> None:
    """Services stay forbidden only during the installation, and a second run prints nothing."""
    assert project.run("rabbitmq.sh") == (0, ["setup: RabbitMQ … 0 s"])
    assert NOISE in (project.folder / ".setup" / "RabbitMQ.log").read_text()
    assert not project.policy.exists()

    assert project.run("rabbitmq.sh") == (0, [])


def test_a_failed_installation_of_rabbitmq_shows_the_log_and_the_command_to_type(project: Project) -> None:
    """The caller continues without a broker: the exit code is 0."""
    code, lines = project.run("rabbitmq.sh", {"APT": "100"})

    assert code == 0
    assert lines[0] == "setup: RabbitMQ … failed after 0 s; the log .setup/RabbitMQ.log ends with:"
    assert lines[1:4] == [f"  {NOISE}"] * 3
    assert lines[4].startswith("setup: RabbitMQ is missing, and apt-get could not install it;")
    assert lines[5] == "  On Debian or Ubuntu type:  sudo apt-get install rabbitmq-server"
    assert not project.policy.exists()


@pytest.mark.parametrize("answer", ["", "y", "Yes"])
def test_on_a_terminal_the_installation_of_rabbitmq_is_asked_for(project: Project, answer: str) -> None:
    """The question names the package; Enter is a yes."""
    code, lines = project.run("rabbitmq.sh", answer=answer)

    assert code == 0
    assert lines[0] == "setup: RabbitMQ is missing; choreography needs a broker, orchestration does not."
    assert lines[1].startswith("setup: install the package rabbitmq-server with apt-get? [Y/n] ")
    assert project.rabbitmq.exists()


@pytest.mark.parametrize(("answer", "environment"), [("n", {}), ("later", {}), (None, {"YES": "0"})])
def test_without_consent_rabbitmq_is_not_installed(
    project: Project, answer: str | None, environment: Mapping[str, str]
) -> None:
    """The caller continues without a broker, and the commands to type are shown."""
    code, lines = project.run("rabbitmq.sh", environment, answer=answer)

    assert code == 0
    assert any("is not installed without your consent; choreography" in line for line in lines)
    assert "  On Debian or Ubuntu type:  sudo apt-get install rabbitmq-server" in lines
    assert not project.rabbitmq.exists()
    assert not project.policy.exists()


@pytest.mark.parametrize("environment", [{"YES": "1"}, {"CI": "true"}])
def test_a_variable_answers_the_question(project: Project, environment: Mapping[str, str]) -> None:
    """Nothing is asked, although a terminal is there."""
    assert project.run("rabbitmq.sh", environment, answer="n") == (0, ["setup: RabbitMQ … 0 s"])
    assert project.rabbitmq.exists()


def test_a_configured_broker_needs_no_rabbitmq(project: Project) -> None:
    """SAGAS_AMQP_URL names an existing broker."""
    assert project.run("rabbitmq.sh", {"SAGAS_AMQP_URL": "amqp://localhost"}) == (0, [])
    assert not project.rabbitmq.exists()
