# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dependency watcher: follows what others do to a domain that depends on more, one process a libvirt URI.

``memory`` says what happened since last time (pure), ``follower`` does what follows, ``main`` is the process.
Forked by ``supervisor.spawner`` as workers are; what is to be done is ``dependency.decide``'s to say.
"""
