"""What `import skdeepcluster` loads: nothing that is optional, nothing that is slow and rare."""

import subprocess
import sys


def test_what_is_optional_is_loaded_on_use_only():
    code = (
        "import sys\n"
        "sys.modules['pandas'] = None\n"  # scikit-learn itself loads it, where it is installed
        "import sklearn, torch\n"
        "del sys.modules['pandas']\n"
        "import skdeepcluster\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert "skdeepcluster" in loaded
    assert not loaded & {"pandas", "matplotlib", "torchvision", "accelerate"}
