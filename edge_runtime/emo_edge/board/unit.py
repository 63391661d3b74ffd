"""The systemd unit of `emo-edge` as text: a pure function, so that it can be shown before it runs.

The lines are those of systemd.service(5), systemd.exec(5) and systemd.resource-control(5). Reasons
stand in the unit itself, for whoever reads it on the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

NAME = "emo-edge"
WATCHDOG_SECONDS = 30
# Growing pauses between restarts came with systemd 254.
GROWING_PAUSES = 254

UNIT = """\
# Written by `emo-edge service install`; installing again replaces it.
[Unit]
Description=Facial expressions from a camera (emo-edge)
After=network.target time-sync.target
# Never give up: a camera may come back after a week.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
{user}
WorkingDirectory=%S/{name}
StateDirectory={name}
CacheDirectory={name}
Environment=PYTHONUNBUFFERED=1{cache}{writable}
# The loop itself feeds the watchdog, so that one that hangs is restarted.
WatchdogSec={watchdog}
# A slow board loads OpenCV and the model.
TimeoutStartSec=180
# Sinks close their files whole.
TimeoutStopSec=20
Restart=always
{pauses}
# Wrong options, unusable data and a damaged model do not mend themselves.
RestartPreventExitStatus=2 3 4

# The sandbox: a camera, the network, its own folders, nothing else.
SupplementaryGroups=video
DevicePolicy=closed
DeviceAllow=char-video4linux rw
# For CSI cameras (libcamera), and for the throttle flags of a Raspberry Pi.
DeviceAllow=char-media rw
DeviceAllow=char-dma_heap rw
DeviceAllow=char-vcio rw
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
# Netlink is how libcamera learns of cameras.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes{no_executable_memory}
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# The runtimes ask where their memory should lie (mbind) and do without an answer.
SystemCallErrorNumber=EPERM
RemoveIPC=yes
UMask=0027

[Install]
WantedBy=multi-user.target
"""


def unit_text(
    command: Sequence[str],
    *,
    user: str | None = None,
    home: str = "yes",
    writable: Sequence[Path] = (),
    machine: str,
    systemd: int,
) -> str:
    """Return the unit.

    Args:
        command: Absolute path of the program, and its arguments.
        user: Who it runs as; None for a user that exists only while it runs.
        home: "yes" hides the homes, "read-only" lets it read them.
        writable: Absolute folders, besides its own, that it may write to.
        machine: `platform.machine()`.
        systemd: Version of systemd; 0 if there is none here.
    """
    pauses = "RestartSec=3"
    if systemd >= GROWING_PAUSES:
        pauses += "\nRestartSteps=8\nRestartMaxDelaySec=300"
    return UNIT.format(
        name=NAME,
        command=" ".join(quoted(word).replace("$", "$$") for word in command),
        user=f"User={user}" if user else "DynamicUser=yes",
        # A user without a home keeps the face detector here.
        cache="" if user else f" XDG_CACHE_HOME=%C/{NAME}",
        writable="".join(f"\nReadWritePaths={quoted(str(path))}" for path in writable),
        watchdog=WATCHDOG_SECONDS,
        pauses=pauses,
        home=home,
        # The x86-64 wheel of ai-edge-litert 1.2 asks for an executable stack.
        no_executable_memory="" if machine == "x86_64" else "\nMemoryDenyWriteExecute=yes",
    )


def quoted(word: str) -> str:
    """Return a word as systemd reads it back, by the quoting of systemd.syntax(7)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    escaped = escaped.replace("%", "%%")
    plain = escaped == word and word and not set(word) & set(" \t;'#")
    return word if plain else f'"{escaped}"'
