"""What a private RabbitMQ node is made of: its configuration, its user, its cookie, its environment."""

import base64
import hashlib
import json
import os
import secrets
import string
from dataclasses import dataclass
from pathlib import Path

from .data_folder_lock import write_private
from .port_lease import LOOPBACK

USER = "sagas"
NODE = "sagas@localhost"
"""The node's name is part of where it keeps its data, so it never changes."""

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

# These reach every Erlang program that the node starts. Without the first, RabbitMQ starts a daemon where it
# finds no epmd, which listens on all interfaces and outlives everybody. Without the second, programs that
# only look around listen on all interfaces for a moment. With one scheduler a busy machine starts it in half
# the time.
ERLANG_FLAGS = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +A 16"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePorts:
    """The ports of a node: for clients, for the register of Erlang nodes, and for Erlang itself."""

    amqp: int
    epmd: int
    distribution: int


class NodeFiles:
    """The folder of a private node, which only its owner may enter.

    Args:
        folder: The folder; it is made by `write`.
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
        """Writes what the node reads at its start, and returns the password of its user.

        The password and the cookie are made once. The node learns its user anew at every start, so neither
        a first start that was cut short nor a lost password locks anybody out.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        for folder in (self.home, self.database):
            folder.mkdir(exist_ok=True)
        # Who has the cookie can run programs as us. Erlang would make one too, but from the time of day.
        letters = "".join(secrets.choice(string.ascii_uppercase) for _ in range(32))
        _write_once(self.home / ".erlang.cookie", letters, mode=0o400)
        password = _write_once(self.folder / "password", secrets.token_urlsafe(24))
        write_private(self.definitions, json.dumps(_definitions(password), indent=2))
        write_private(self.plugins, "[].")
        text = CONFIGURATION.format(address=LOOPBACK, port=ports.amqp, definitions=self.definitions)
        write_private(self.configuration, text)
        return password

    def environment(self, ports: NodePorts) -> dict[str, str]:
        """The variables with which a node, its epmd and its tools find each other, and nobody else."""
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
            # What is installed for the whole machine must not leak in.
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-environment.conf"),
            # The script then becomes the node instead of watching over it, so signals reach the node itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


def _write_once(file: Path, text: str, *, mode: int = 0o600) -> str:
    """Writes a file where there is none, or an empty one, and returns what is in it."""
    if not file.exists() or not file.read_text().strip():
        write_private(file, text, mode=mode)
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
    everything = {"user": USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    return {"users": [user], "vhosts": [{"name": "/"}], "permissions": [everything]}
