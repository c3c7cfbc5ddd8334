"""From light and surface to colour: soft light vertex by vertex, then the samples of the picture.

Everything is linear and in the head frame. Diffuse light follows Lambert; where `scatter` is 1 the lamp
reaches round the terminator, red the farthest, as light does that wanders through skin. Sheen is a
microfacet lobe (GGX, Walter et al. 2007) for the lamp, and for the broad lobes of the sky the product of two
spherical Gaussians (Wang et al. 2009).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_WRAP = np.array([0.30, 0.14, 0.10], np.float32)
_SKIN_REFLECTANCE = 0.028
_WET = 0.06  # roughness of the film of tears


class HeadLights(NamedTuple):
    """Lights in the head frame, float32: what the kernels take.

    sky: (COUNT, 3); lobes: (K, 3) directions; sharpness: (K,); radiance: (K, 3); ambient: (3,);
    lamp: (3,) place; lamp_colour: (3,), 0 where there is none; lamp_reference: the distance, millimetres, at
    which the colour holds.
    """

    sky: NDArray[np.float32]
    lobes: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    radiance: NDArray[np.float32]
    ambient: NDArray[np.float32]
    lamp: NDArray[np.float32]
    lamp_colour: NDArray[np.float32]
    lamp_reference: float


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def sheen_of_lobes(
    nx: float,
    ny: float,
    nz: float,
    vx: float,
    vy: float,
    vz: float,
    roughness: float,
    lobes: NDArray,
    sharpness: NDArray,
    radiance: NDArray,
    channel: int,
) -> float:
    """What the broad lobes of the sky send along the view direction v off a facet with normal n."""
    cosine = nx * vx + ny * vy + nz * vz
    rx, ry, rz = 2 * cosine * nx - vx, 2 * cosine * ny - vy, 2 * cosine * nz - vz
    own = 0.5 / (roughness**4 * max(cosine, 0.2))
    total = 0.0
    for k in range(len(lobes)):
        both = own * sharpness[k] / (own + sharpness[k])
        towards = rx * lobes[k, 0] + ry * lobes[k, 1] + rz * lobes[k, 2]
        exponent = both * (towards - 1.0)
        # A lobe behind the surface sends nothing, one on its horizon half.
        above = 2.5 * (nx * lobes[k, 0] + ny * lobes[k, 1] + nz * lobes[k, 2]) + 0.5
        if exponent > -8.0 and above > 0.0:
            share = min(above, 1.0) * own / (own + sharpness[k])
            total += radiance[k, channel] * share * math.exp(exponent)
    return total


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def sheen_of_lamp(nv: float, nl: float, nh: float, roughness: float) -> float:
    """GGX distribution times Smith's visibility times the cosine to the lamp, without Fresnel's factor."""
    alpha = roughness * roughness
    squared = alpha * alpha
    base = nh * nh * (squared - 1.0) + 1.0
    distribution = squared / (math.pi * base * base)
    k = 0.5 * alpha
    visibility = 0.25 / ((nl * (1 - k) + k) * (nv * (1 - k) + k))
    return distribution * visibility * nl


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def fresnel(cosine: float, reflectance: float) -> float:
    """Schlick's approximation."""
    rest = 1.0 - min(max(cosine, 0.0), 1.0)
    squared = rest * rest
    return reflectance + (1.0 - reflectance) * squared * squared * rest


@njit(cache=True, nogil=True, fastmath=True)
def shade_vertices(
    wanted: NDArray,
    vertices: NDArray,
    normals: NDArray,
    albedo: NDArray,
    gloss: NDArray,
    roughness: NDArray,
    scatter: NDArray,
    visible: NDArray,
    lit: NDArray,
    eye: NDArray,
    directions: NDArray,
    sky: NDArray,
    lobes: NDArray,
    sharpness: NDArray,
    radiance: NDArray,
    ambient: NDArray,
    lamp: NDArray,
    lamp_colour: NDArray,
    lamp_reference: float,
    colours: NDArray,
) -> None:
    """Fill `colours` (n, 3) at the `wanted` (w,) vertices.

    albedo is linear; visible (n, COUNT) is the open share of the sky; lit (n,) the share of the lamp that
    arrives; eye (3,) the place of the camera; the lights as in `HeadLights`.
    """
    count = len(directions)
    for place in range(len(wanted)):
        v = wanted[place]
        nx, ny, nz = normals[v, 0], normals[v, 1], normals[v, 2]
        vx, vy, vz = eye[0] - vertices[v, 0], eye[1] - vertices[v, 1], eye[2] - vertices[v, 2]
        length = math.sqrt(vx * vx + vy * vy + vz * vz)
        vx, vy, vz = vx / length, vy / length, vz / length
        nv = nx * vx + ny * vy + nz * vz
        if nv < 0.0 and gloss[v] < 0.0:  # thin sheets have two sides
            nx, ny, nz, nv = -nx, -ny, -nz, -nv
        rx, ry, rz = 2 * nv * nx - vx, 2 * nv * ny - vy, 2 * nv * nz - vz
        red, green, blue, open_share, whole = 0.0, 0.0, 0.0, 0.0, 1e-6
        open_mirror, whole_mirror = 0.0, 1e-6
        for d in range(count):
            cosine = nx * directions[d, 0] + ny * directions[d, 1] + nz * directions[d, 2]
            if cosine > 0.0:
                share = cosine * visible[v, d]
                red += share * sky[d, 0]
                green += share * sky[d, 1]
                blue += share * sky[d, 2]
                open_share += share
                whole += cosine
                towards = rx * directions[d, 0] + ry * directions[d, 1] + rz * directions[d, 2]
                if towards > 0.5:
                    weight = (towards - 0.5) * (towards - 0.5) * cosine
                    whole_mirror += weight
                    open_mirror += weight * visible[v, d]
        opening = open_share / whole
        # Light that bounces between skin and skin brings back some of what the pockets lose, and reddens it.
        back = (1.0 - opening) * 0.25
        red, green, blue = (
            red * (1 + back * albedo[v, 0]),
            green * (1 + back * albedo[v, 1]),
            blue * (1 + back * albedo[v, 2]),
        )
        lx, ly, lz = lamp[0] - vertices[v, 0], lamp[1] - vertices[v, 1], lamp[2] - vertices[v, 2]
        distance = math.sqrt(lx * lx + ly * ly + lz * lz) + 1e-6
        lx, ly, lz = lx / distance, ly / distance, lz / distance
        fall = lamp_reference / distance
        strength = lit[v] * fall * fall
        nl = nx * lx + ny * ly + nz * lz
        reach = scatter[v]
        factors = (0.0, 0.0, 0.0)
        if strength > 0.0:
            factors = (
                max((nl + _WRAP[0] * reach) / (1.0 + _WRAP[0] * reach), 0.0) * strength,
                max((nl + _WRAP[1] * reach) / (1.0 + _WRAP[1] * reach), 0.0) * strength,
                max((nl + _WRAP[2] * reach) / (1.0 + _WRAP[2] * reach), 0.0) * strength,
            )
        red = albedo[v, 0] * (red + lamp_colour[0] * factors[0])
        green = albedo[v, 1] * (green + lamp_colour[1] * factors[1])
        blue = albedo[v, 2] * (blue + lamp_colour[2] * factors[2])
        shine = abs(gloss[v])
        if shine > 0.0 and nv > 0.0:
            # A rough surface at a grazing angle is no mirror: its facets shade one another.
            mirror = _SKIN_REFLECTANCE + (fresnel(nv, _SKIN_REFLECTANCE) - _SKIN_REFLECTANCE) * 0.2
            mirror *= shine * opening * open_mirror / whole_mirror
            glint = 0.0
            if strength > 0.0 and nl > 0.0:
                hx, hy, hz = lx + vx, ly + vy, lz + vz
                half = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
                nh = min((nx * hx + ny * hy + nz * hz) / half, 1.0)
                vh = (vx * hx + vy * hy + vz * hz) / half
                glint = math.pi * sheen_of_lamp(nv, nl, nh, roughness[v])
                glint *= fresnel(vh, _SKIN_REFLECTANCE) * shine * strength
            for channel in range(3):
                sheen = ambient[channel] + sheen_of_lobes(
                    nx, ny, nz, vx, vy, vz, roughness[v], lobes, sharpness, radiance, channel
                )
                total = mirror * sheen + glint * lamp_colour[channel]
                if channel == 0:
                    red += total
                elif channel == 1:
                    green += total
                else:
                    blue += total
        colours[v, 0], colours[v, 1], colours[v, 2] = red, green, blue


@njit(cache=True, nogil=True, fastmath=True)
def resolve(
    ids: NDArray,
    weights: NDArray,
    triangles: NDArray,
    labels: NDArray,
    colours: NDArray,
    wet: NDArray,
    vertices: NDArray,
    normals: NDArray,
    lit: NDArray,
    eye: NDArray,
    lobes: NDArray,
    sharpness: NDArray,
    radiance: NDArray,
    ambient: NDArray,
    lamp: NDArray,
    lamp_colour: NDArray,
    lamp_reference: float,
    background: NDArray,
    step: int,
    image: NDArray,
    names: NDArray,
    covered: NDArray,
) -> None:
    """Gather step x step samples into each pixel.

    Args:
        ids, weights: (H step, W step) triangle behind each sample, −1 = none, and its barycentrics.
        wet: (number of labels,) bool: what carries a film of water, whose reflections are sharp.
        background: (H, W, 3) linear.
        image: (H, W, 3) filled; names: (H, W) uint8 the commonest label; covered: (H, W) share not
            background.
    """
    height, width = names.shape
    counts = np.zeros(len(wet), np.int64)
    share = 1.0 / (step * step)
    for row in range(height):
        for column in range(width):
            red, green, blue, empty = 0.0, 0.0, 0.0, 0
            counts[:] = 0
            for i in range(row * step, row * step + step):
                for j in range(column * step, column * step + step):
                    f = ids[i, j]
                    if f < 0:
                        empty += 1
                        counts[0] += 1
                        continue
                    a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
                    wa, wb, wc = weights[i, j, 0], weights[i, j, 1], weights[i, j, 2]
                    red += wa * colours[a, 0] + wb * colours[b, 0] + wc * colours[c, 0]
                    green += wa * colours[a, 1] + wb * colours[b, 1] + wc * colours[c, 1]
                    blue += wa * colours[a, 2] + wb * colours[b, 2] + wc * colours[c, 2]
                    label = labels[f]
                    counts[label] += 1
                    if wet[label]:
                        nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
                        ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
                        nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
                        n = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
                        nx, ny, nz = nx / n, ny / n, nz / n
                        px = wa * vertices[a, 0] + wb * vertices[b, 0] + wc * vertices[c, 0]
                        py = wa * vertices[a, 1] + wb * vertices[b, 1] + wc * vertices[c, 1]
                        pz = wa * vertices[a, 2] + wb * vertices[b, 2] + wc * vertices[c, 2]
                        vx, vy, vz = eye[0] - px, eye[1] - py, eye[2] - pz
                        n = math.sqrt(vx * vx + vy * vy + vz * vz)
                        vx, vy, vz = vx / n, vy / n, vz / n
                        lx, ly, lz = lamp[0] - px, lamp[1] - py, lamp[2] - pz
                        n = math.sqrt(lx * lx + ly * ly + lz * lz) + 1e-6
                        lx, ly, lz = lx / n, ly / n, lz / n
                        fall = lamp_reference / n
                        light = wa * lit[a] + wb * lit[b] + wc * lit[c]
                        nv, nl = nx * vx + ny * vy + nz * vz, nx * lx + ny * ly + nz * lz
                        if nv <= 0.0:
                            continue
                        mirror, glint = fresnel(nv, _SKIN_REFLECTANCE), 0.0
                        if nl > 0.0 and light > 0.0:
                            hx, hy, hz = lx + vx, ly + vy, lz + vz
                            half = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
                            nh = min((nx * hx + ny * hy + nz * hz) / half, 1.0)
                            glint = min(math.pi * sheen_of_lamp(nv, nl, nh, 0.18), 60.0)
                            glint *= mirror * light * fall * fall
                        red += glint * lamp_colour[0] + mirror * (
                            0.3 * ambient[0]
                            + sheen_of_lobes(nx, ny, nz, vx, vy, vz, _WET, lobes, sharpness, radiance, 0)
                        )
                        green += glint * lamp_colour[1] + mirror * (
                            0.3 * ambient[1]
                            + sheen_of_lobes(nx, ny, nz, vx, vy, vz, _WET, lobes, sharpness, radiance, 1)
                        )
                        blue += glint * lamp_colour[2] + mirror * (
                            0.3 * ambient[2]
                            + sheen_of_lobes(nx, ny, nz, vx, vy, vz, _WET, lobes, sharpness, radiance, 2)
                        )
            back = empty * share
            image[row, column, 0] = red * share + back * background[row, column, 0]
            image[row, column, 1] = green * share + back * background[row, column, 1]
            image[row, column, 2] = blue * share + back * background[row, column, 2]
            covered[row, column] = 1.0 - back
            best = 0
            for label in range(1, len(counts)):
                if counts[label] > 0 and counts[label] >= counts[best]:
                    best = label
            names[row, column] = best


@njit(cache=True, nogil=True, fastmath=True)
def lamp_shadow(
    wanted: NDArray,
    screen_x: NDArray,
    screen_y: NDArray,
    inverse_depth: NDArray,
    nearest: NDArray,
    slack: float,
    spread: float,
    lit: NDArray,
) -> None:
    """Fill `lit` (n,) at the wanted vertices: share of 5 x 5 places of the lamp's depth map that is open.

    screen_x, screen_y, inverse_depth: (n,) as the lamp sees the vertices; nearest: (S, S) depth; slack:
    millimetres that do not hide; spread: pixels between the places.
    """
    size = nearest.shape[0]
    for place in range(len(wanted)):
        v = wanted[place]
        if not inverse_depth[v] > 0.0:
            lit[v] = 1.0
            continue
        depth = 1.0 / inverse_depth[v] - slack
        total = 0
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                column = math.floor(screen_x[v] + dx * spread + 0.5)
                row = math.floor(screen_y[v] + dy * spread + 0.5)
                if column < 0 or row < 0 or column >= size or row >= size or nearest[row, column] >= depth:
                    total += 1
        lit[v] = total / 25.0
