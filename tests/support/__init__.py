# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests need besides the collection: clients and servers, none of which the collection uses itself."""
