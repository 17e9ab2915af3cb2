# SPDX-License-Identifier: Apache-2.0
"""A small shop under load, to see undermesh at work: a real nginx, a real Redis, five services.

    load → nginx ─┬→ catalog ─→ redis
                  ├→ cart ─┬→ catalog
                  │        └→ redis
                  ├→ checkout ─┬→ cart
                  │            └→ payment        fails exactly every 20th request
                  └→ recommend ─→ catalog        slow, with a long tail

Nothing here knows undermesh, except `shop`, which starts every part with `undermesh run`.
"""
