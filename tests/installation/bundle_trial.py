"""The bundle in a bare Debian root that has loopback and nothing else: unpack, set up, make demo, make install."""

import re
import shutil
import sys
import time
from pathlib import Path

from tests.installation.bare_root import BareRoot, bare_root
from tests.installation.install_trial import told, wanted

PAGE = """\
# Set up without a network

Printed by `make bundle-check`: the bundle of `make bundle`, unpacked in a bare Debian root (mmdebstrap, variant minbase) that has no network but
loopback. Debian {codename}, {architecture}. Seconds are of a machine that did other things as well.

| part | size, MB | of what |
|---|---|---|
{sizes}

| step, without a network | seconds |
|---|---|
{steps}

What `make demo` printed there:

```
{demo}
```
"""


def try_bundle(bundles: Path, work: Path, out: Path | None) -> None:
    """Ends with a status other than 0 at the first thing that is not as it should be."""
    bundle = max(bundles.glob("habitus-*.tar"), key=lambda path: path.stat().st_mtime, default=None)
    if bundle is None:
        sys.exit(f"bundle trial: found no bundle in {bundles}; wanted one. Run make bundle.")
    folder = f"/root/{bundle.stem}"
    seconds: dict[str, float] = {}
    with bare_root(work) as root:
        shutil.copy(bundle, root.path("/root/bundle.tar"))

        def step(what: str, script: str) -> str:
            started = time.monotonic()
            said = told(root, script, has_network=False)
            seconds[what] = time.monotonic() - started
            return said

        interfaces = told(root, "tail -n +3 /proc/net/dev", has_network=False)
        wanted(re.findall(r"^\s*(\w+):", interfaces, re.MULTILINE) == ["lo"], "loopback alone")
        step("unpack", "cd /root && tar xf bundle.tar && rm bundle.tar")
        check_refusals(root, folder)
        step("`./install-offline.sh`", f"cd {folder} && ./install-offline.sh")
        demo = step("`make demo`", f"cd {folder} && make demo")
        wanted("difference" in demo and "SEG" in demo, "measurements beside the truth")
        step("`make system-viewer` (nginx for OHIF)", f"cd {folder} && make system-viewer")
        planned = told(root, f"cd {folder} && make --dry-run .viewer/.installed", has_network=False)
        wanted("npm" not in planned, "an OHIF that is installed already")
        step("`make install`", f"cd {folder} && make install")
        step("`make uninstall`", f"cd {folder} && make uninstall")
        page = page_of(bundle, root.path(folder), seconds, demo.replace(f"{folder}/", ""))
    sys.stdout.write(page)
    if out is not None:
        out.write_text(page, encoding="utf-8")


def check_refusals(root: BareRoot, folder: str) -> None:
    """A byte more in a package, or another release of Debian, and nothing is installed."""
    for spoil, restore, said in (
        (
            "echo >> offline/debs/Packages",
            "sed -i '$d' offline/debs/Packages",
            "differ from SHA256SUMS",
        ),
        (
            "cp -p offline/target /root/target; sed -i s/^codename=.*/codename=other/ offline/target",
            "cp -p /root/target offline/target",
            "wanted other",
        ),
    ):
        done = root.run(
            f"cd {folder}; {spoil}; ./install-offline.sh || echo ended with $?; {restore}"
        )
        sys.stdout.write(done.stdout)
        wanted("ended with 2" in done.stdout and said in done.stdout, f"a refusal: {said}")


def page_of(bundle: Path, folder: Path, seconds: dict[str, float], demo: str) -> str:
    """Sizes, seconds and what the demo said."""
    parts = {
        "Debian packages": ("offline/debs", "*.deb"),
        "Python packages": ("offline/wheels", "*.whl"),
        "models": ("models", "*"),
        "OHIF": (".viewer/site", "*"),
    }
    rows = []
    for what, (place, pattern) in parts.items():
        files = [path for path in (folder / place).rglob(pattern) if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        rows.append(f"| {what} | {size:.0f} | {len(files)} files |")
    rows.append(f"| the whole file | {bundle.stat().st_size / 1e6:.0f} | `{bundle.name}` |")
    _, codename, architecture = bundle.stem.rsplit("-", 2)
    return PAGE.format(
        codename=codename,
        architecture=architecture,
        sizes="\n".join(rows),
        steps="\n".join(f"| {what} | {taken:.0f} |" for what, taken in seconds.items()),
        demo=demo.strip(),
    )
