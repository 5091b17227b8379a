#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The aqmp-glib authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""find-overrides-dir.py PREFIX: prints where under the prefix PyGObject looks for overrides."""

import os
import site
import sys
import sysconfig

prefix = os.path.realpath(sys.argv[1])


def is_under(directory, top):
    return os.path.commonpath([os.path.realpath(directory), top]) == top


def of_pygobject():
    try:
        import gi
    except ImportError:
        return []
    return [os.path.dirname(gi.__path__[0])]


# Under /usr there are those of /usr/local as well, which are another prefix.
other = '/usr/local' if prefix == '/usr' else None
candidates = [directory for directory in [*of_pygobject(), *site.getsitepackages()]
              if is_under(directory, prefix) and not (other and is_under(directory, other))]
# Python does not look under this prefix unless PYTHONPATH says so; then any place in it will do.
elsewhere = os.path.join(prefix, 'lib', f'python{sysconfig.get_python_version()}', 'site-packages')

print(os.path.join((candidates + [elsewhere])[0], 'gi', 'overrides'))
