"""Say in one line whether this machine is ready for the workshop, as ``python check.py``.

Nothing is changed, and no network is needed. The exit status is 0 when it is ready and 1 when it is not.
"""

import os
import shutil
import sys
import time
import warnings

OLDEST, NEWEST = (3, 11), (3, 13)
MEMORY_GB, DISK_GB = 3, 2  # free, to train in notebook 4 and to keep what the notebooks make
SECONDS = 30  # for one mask: a machine slower than that will not train in the time there is
INSTALL = "install it as HANDOUT.md says, and start this script with the Python of that environment"


def check():
    """Give whether the machine is ready, and why."""
    python = ".".join(map(str, sys.version_info[:3]))
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return False, f"Python {python}; it takes 3.{OLDEST[1]} to 3.{NEWEST[1]}"
    missing = missing_packages()
    if missing:
        return False, f"{', '.join(missing)} not installed; {INSTALL}"
    import psutil

    memory = psutil.virtual_memory().available / 1e9
    disk = shutil.disk_usage(os.getcwd()).free / 1e9
    if memory < MEMORY_GB:
        return False, f"{memory:.1f} GB of memory free; close other programs until there are {MEMORY_GB}"
    if disk < DISK_GB:
        return False, f"{disk:.1f} GB of disk free here; make room until there are {DISK_GB}"
    try:
        version, found, seconds = segment_one()
    except Exception as error:  # whatever is wrong with this installation, one line says it
        return False, f"no mask could be made ({type(error).__name__}: {error}); {INSTALL}"
    if seconds > SECONDS:
        return False, f"one mask took {seconds:.0f} s; close other programs, or share a machine"
    return True, (
        f"Python {python}, temlib {version}, {found} particles found in {seconds:.1f} s, "
        f"{memory:.0f} GB of memory and {disk:.0f} GB of disk free"
    )


def missing_packages():
    """List temlib and what it needs, as far as they are not installed."""
    from importlib import metadata

    try:
        needed = [line for line in metadata.requires("temlib") or [] if "extra ==" not in line]
    except metadata.PackageNotFoundError:
        return ["temlib"]
    names = ["".join(c if c.isalnum() or c in "-_." else " " for c in line).split()[0] for line in needed]
    missing = []
    for name in names:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    return missing


def segment_one():
    """Segment one embedded micrograph with the bundled network; give version, particles found and seconds."""
    warnings.filterwarnings("ignore")
    import temlib
    from temlib import datasets

    segmenter = temlib.load_segmenter()
    image = datasets.load("simulated", ["simulated_0000"])[0].image
    start = time.perf_counter()
    found = segmenter.particles(image).data.max()
    return temlib.__version__, found, time.perf_counter() - start


if __name__ == "__main__":
    ready, words = check()
    print(f"{'ready' if ready else 'NOT READY'}: {words}")
    sys.exit(not ready)
