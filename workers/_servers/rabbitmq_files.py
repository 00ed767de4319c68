"""The files and the environment variables of the embedded RabbitMQ node."""

import base64
import hashlib
import json
import os
import secrets
import string
from dataclasses import dataclass
from pathlib import Path

from .._configuration.loopback import LOOPBACK
from .private_file import write_private_file

USER = "sagas"
NODE = "sagas@localhost"
"""The name of the node; a part of the path of the node's data, therefore never changed."""

CONFIGURATION = """\
listeners.tcp.default = {address}:{port}
load_definitions = {definitions}
log.file = false
log.console = true
log.console.level = warning
log.console.use_colors = off
log.connection.level = error
vm_memory_high_watermark.absolute = 512MiB
disk_free_limit.absolute = 64MB
"""

# The flags reach every Erlang program that the node starts. Without `-start_epmd false`, RabbitMQ starts an
# epmd daemon when epmd is missing; the daemon listens on all interfaces and outlives the node. Without
# `inet_dist_use_interface`, command-line tools listen on all interfaces for a moment. With one scheduler, the
# node boots in half the time on a busy machine.
ERLANG_FLAGS = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +A 16"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePorts:
    """The ports of a node: for clients, for epmd (the register of Erlang nodes), and for Erlang itself."""

    amqp: int
    epmd: int
    distribution: int


class NodeFiles:
    """The folder of a private node, accessible by its owner only.

    Args:
        folder: The folder; `write` creates the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.database = folder / "database"
        self.configuration = folder / "rabbitmq.conf"
        self.definitions = folder / "definitions.json"
        self.plugins = folder / "enabled_plugins"
        self.epmd_log = folder / "epmd.log"

    def write(self, ports: NodePorts) -> str:
        """Writes all files of the node, and returns the password of the node's user.

        Password and Erlang cookie are created once. The node imports its user at every start: neither an
        interrupted first start nor a lost password locks clients out.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        for folder in (self.home, self.database):
            folder.mkdir(exist_ok=True)
        # The cookie allows to run programs as this user. Erlang would derive a cookie from the time of day.
        cookie = "".join(secrets.choice(string.ascii_uppercase) for _ in range(32))
        _write_once(self.home / ".erlang.cookie", cookie, mode=0o400)
        password = _write_once(self.folder / "password", secrets.token_urlsafe(24))
        write_private_file(self.definitions, json.dumps(_definitions(password), indent=2))
        write_private_file(self.plugins, "[].")
        text = CONFIGURATION.format(address=LOOPBACK, port=ports.amqp, definitions=self.definitions)
        write_private_file(self.configuration, text)
        return password

    def environment(self, ports: NodePorts) -> dict[str, str]:
        """Creates the environment variables with which node, epmd and tools find only each other."""
        return {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "ERL_AFLAGS": ERLANG_FLAGS,
            "ERL_CRASH_DUMP": os.devnull,
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(ports.epmd),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_DIST_PORT": str(ports.distribution),
            "RABBITMQ_MNESIA_BASE": str(self.database),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self.configuration),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.plugins),
            # Files of the machine-wide installation are ignored.
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-environment.conf"),
            # With this variable, the start script becomes the node: signals reach the node itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


def _write_once(file: Path, text: str, *, mode: int = 0o600) -> str:
    """Writes a file unless the file has content already, and returns the content."""
    if not file.exists() or not file.read_text().strip():
        write_private_file(file, text, mode=mode)
    return file.read_text().strip()


def _definitions(password: str) -> dict[str, object]:
    salt = secrets.token_bytes(4)
    hashed = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    user = {
        "name": USER,
        "password_hash": hashed,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "administrator",
    }
    permission = {"user": USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    return {"users": [user], "vhosts": [{"name": "/"}], "permissions": [permission]}
