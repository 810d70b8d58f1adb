"""Draws the pictures of docs/ again, each from the run that its page names: .venv/bin/python scripts/pictures.py [NAME…]

To be run when costs, models or the drawing have changed. Without names: all of them.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
WIDTH, COLOURS = 1380, 64  # enough to read on a page, small enough to keep in the repository

PICTURES = {
    "demo_exits": ("replay {traces}/on2_ppong.txt.gz --tech none,apicv,ipiv --out out", "plot out/none out/apicv out/ipiv", "exits"),
    "demo_latency_ipi": ("replay {traces}/on2_ppong.txt.gz --tech none,apicv,ipiv --out out", "plot out/none out/apicv out/ipiv",
                         "latency_ipi"),
    "path_ipi_apicv": ("run ipi_ping_pong --tech apicv --set wait=spin", "plot out/ipi_ping_pong-apicv --flow 3", "path_3"),
    "path_ipi_none": ("run delivery_in_software --tech none", "plot out/delivery_in_software-none --flow 5", "path_5"),
    "path_8259a": ("run delivery_in_software --tech none", "plot out/delivery_in_software-none --flow 1", "path_1"),
    "path_ipi_ipiv": ("run ipi_and_timer_with_hardware --tech ipiv", "plot out/ipi_and_timer_with_hardware-ipiv --flow 31", "path_31"),
    "path_timer_ipiv": ("run ipi_and_timer_with_hardware --tech ipiv", "plot out/ipi_and_timer_with_hardware-ipiv --flow 32",
                        "path_32"),
    "path_wake_sleep": ("run halt_polling --set policy=sleep", "plot out/halt_polling-apicv --flow 3", "path_3"),
    "path_wake_poll": ("run halt_polling --set policy=grow", "plot out/halt_polling-apicv --flow 7", "path_7"),
    "path_run_loop": ("run legacy_guest --set guest=8259a --set irqchip=split --tech apicv",
                      "plot out/legacy_guest-apicv --flow 2", "path_2"),
    "path_legacy_8259a": ("run legacy_guest --tech apicv", "plot out/legacy_guest-apicv --flow 2", "path_2"),
    "path_masked_direct_read": ("run masked_direct_read --set burst=4", "plot out/masked_direct_read-none --flow 1", "path_1"),
    "path_level_posted": ("run external_with_hardware --tech vtd-pi", "plot out/external_with_hardware-vtd-pi --flow 2", "path_2"),
    "path_passthrough_none": ("run passthrough --tech none", "plot out/passthrough-none --flow 1", "path_1"),
    "path_passthrough_posted": ("run passthrough --tech vtd-pi", "plot out/passthrough-vtd-pi --flow 1", "path_1"),
    "path_passthrough_blocked": ("run passthrough --tech vtd-pi --set target=blocked", "plot out/passthrough-vtd-pi --flow 1", "path_1"),
    "path_passthrough_migrated": ("run passthrough --tech vtd-pi --set target=migrated", "plot out/passthrough-vtd-pi --flow 2", "path_2"),
    "exits_side_by_side": ("exits --out out/figures", None, "exits_side_by_side"),
    "path_epic_miss": ("run elbrus_epic --set target=halted", "plot out/elbrus_epic-epic-hw --flow 3", "path_3"),
    "path_disk_virtio": ("run disk_io_path --tech apicv", "plot out/disk_io_path-apicv --request 3", "request_3"),
    "path_disk_ide": ("run disk_io_path --tech apicv --set disk=ide", "plot out/disk_io_path-apicv --request 3", "request_3"),
    "halt_polling": ("sweep halt_polling --out out/figures", None, "halt_polling"),
    "masked_direct_read": ("sweep masked_direct_read --out out/figures", None, "masked_direct_read"),
    "net_send": ("sweep net_send --out out/figures", None, "net_send"),
    "net_receive": ("sweep net_receive --out out/figures", None, "net_receive"),
    "console_output": ("sweep console_output --out out/figures", None, "console_output"),
    "disk_io_path": ("sweep disk_io_path --out out/figures", None, "disk_io_path"),
}
"""A picture: the command that makes the run, the one that draws, and the drawing's name."""


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in PICTURES]
    if unknown:
        sys.exit(f"pictures: there is no {unknown[0]} (there are: {', '.join(PICTURES)})")
    for n, name in enumerate(names or PICTURES, 1):
        print(f"pictures: {name} ({n} of {len(names or PICTURES)})", file=sys.stderr)
        draw(name)


def draw(name: str) -> None:
    make, plot, drawing = PICTURES[name]
    with tempfile.TemporaryDirectory(prefix="virqsim-") as folder:
        for command in filter(None, (make, plot)):
            subprocess.run([sys.executable, "-m", "virqsim.cli", *command.format(traces=ROOT / "traces").split()], cwd=folder, check=True,
                           stdout=subprocess.DEVNULL)
        with Image.open(Path(folder, "out/figures", f"{drawing}.png")) as picture:
            scale = min(1, WIDTH / picture.width)
            small = picture.convert("RGB").resize((round(picture.width * scale), round(picture.height * scale)), Image.LANCZOS)
            small.quantize(COLOURS).save(ROOT / "docs/images" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
