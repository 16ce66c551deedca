"""Random numbers of the components: drawn by jax, and the same numbers from one loop."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp


@kernel
def threefry(key, counter):
    """The two words of Threefry-2x32 for (0, counter) under a key of two words, joined by exclusive or."""
    rotations = ((13, 15, 26, 6), (17, 29, 16, 24))
    keys = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(0x1BD11BDA))
    x, y = jnp.full_like(counter, keys[0]), counter + keys[1]
    for i in range(5):
        for by in rotations[i % 2]:
            x = x + y
            y = ((y << by) | (y >> (32 - by))) ^ x
        x, y = x + keys[(i + 1) % 3], y + keys[(i + 2) % 3] + jnp.uint32(i + 1)
    return x ^ y


@kernel
def quick_bits(key, shape, rows=False):
    """The bits of ``jax.random.bits(key, shape)``: the words of Threefry-2x32 for 0, 1, 2, ..., joined by exclusive or.

    Its twenty rounds are unrolled into one loop over the numbers: on CPUs jax repeats four of them, and writes all numbers
    in between.  Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).

    With ``rows``, the rows of the first axis are drawn sequentially.  XLA does not fuse a loop with a nested one, so a long
    computation on the bits stays a separate loop, short enough to be vectorised.
    """
    drawn_at_once = shape[1:] if rows else shape
    count = 1
    for length in drawn_at_once:
        count *= length
    counter = jnp.arange(count, dtype=jnp.uint32).reshape(drawn_at_once)
    if not rows:
        return threefry(key, counter)
    return jax.lax.map(lambda row: threefry(key, row * jnp.uint32(count) + counter), jnp.arange(shape[0], dtype=jnp.uint32))


@kernel
def quick_uniform(key, shape, low, high, rows=False):
    """The numbers of ``jax.random.uniform(key, shape)`` between two bounds: each a float of 23 random bits."""
    bits = jax.jit(quick_bits, static_argnums=(1, 2))(key, shape, rows)
    share = jax.lax.bitcast_convert_type((bits >> 9) | jnp.uint32(0x3F800000), jnp.float32) - 1
    low, high = jnp.float32(low), jnp.float32(high)
    return jnp.maximum(low, share * (high - low) + low)


@kernel
def quick_normal(key, shape):
    """The numbers of ``jax.random.normal(key, shape)`` but for rounding: sqrt(2) erfinv(x), x uniform in (-1, 1).

    erfinv(x) = x p(w), w = -log((1 - x)(1 + x)), with one polynomial for w < 5 and one of sqrt(w) beyond (Giles,
    "Approximating the erfinv function", 2012).  With log1p instead of log the loop is not vectorised.
    """

    def polynomial(x, *coefficients):
        value = jnp.full_like(x, coefficients[0])
        for c in coefficients[1:]:
            value = c + value * x
        return value

    x = quick_uniform(key, shape, -1.0 + 2.0**-24, 1.0)
    w = -jnp.log((1 - x) * (1 + x))
    near = (2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4, -1.25372503e-3, -4.17768164e-3)
    far = (-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3, -7.6224613e-3, 9.43887047e-3)
    near = polynomial(w - 2.5, *near, 0.246640727, 1.50140941)
    far = polynomial(jnp.sqrt(w) - 3, *far, 1.00167406, 2.83297682)
    return 2**0.5 * x * jnp.where(w < 5, near, far)


def quick_integers(key, shape, bound):
    """The numbers of ``jax.random.randint(key, shape, 0, bound)``, from the bits of ``quick_bits``.

    With two words h and l of 32 bits each, a number is (2^32 h + l) mod bound; the power is reduced first, as 2^16 squared.
    """
    high, low = (quick_bits(half, shape) for half in jax.random.split(key))
    bound = jnp.asarray(bound).astype(jnp.uint32)
    half = jnp.uint32(2**16) % bound
    power = (half * half) % bound
    return (((high % bound) * power + low % bound) % bound).astype(jnp.int32)


@kernel
def normal_numbers(key, shape, quick):
    """Standard normal numbers."""
    return quick_normal(key, shape) if quick else jax.random.normal(key, shape)


@kernel
def uniform_numbers(key, shape, low, high, quick, rows=False):
    """Uniform numbers between two bounds; ``rows`` as for ``quick_bits``."""
    if quick:
        return quick_uniform(key, shape, low, high, rows)
    return jax.random.uniform(key, shape, minval=low, maxval=high)


@kernel(quick="quick")
def gaussian_noise(key, s, size, particles=None, quick=False):
    """Standard normal noise for each observation: [..., size], or [..., particles, size]."""
    shape = s.shape[:-1] if particles is None else (*s.shape[:-1], particles)
    return normal_numbers(key, (*shape, size), quick)


@kernel(quick="quick")
def uniform_actions(key, s, size, particles=None, quick=False):
    """Actions uniform in [-1, 1] for each observation: [..., size], or [..., particles, size]."""
    shape = s.shape[:-1] if particles is None else (*s.shape[:-1], particles)
    return uniform_numbers(key, (*shape, size), -1.0, 1.0, quick)


@kernel
def zero_noise(s, size):
    """Zero in place of noise, for each observation: [..., size]."""
    return jnp.zeros((*s.shape[:-1], size))
