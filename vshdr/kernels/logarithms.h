/* log2 and exp2 without branches or calls, so that the compiler can turn a loop over pixels into vector
 * instructions. Relative errors are below 1e-6, a thousandth of the smallest step of ten-bit PQ.
 *
 * Callers replace the result for numbers outside the stated range, but it is computed all the same, so every
 * step is defined for any float: integers wrap around as unsigned ones. */
#ifndef VSHDR_LOGARITHMS_H
#define VSHDR_LOGARITHMS_H

#include <stdint.h>
#include <string.h>

static inline __attribute__((always_inline)) int32_t bits_of(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline __attribute__((always_inline)) float float_of(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* log2(x) for x > 0. The mantissa is scaled to sqrt(1/2)..sqrt(2), where a polynomial stands for
 * log2(1 + t) / t (a Chebyshev fit, with errors below 3e-8). */
static inline __attribute__((always_inline)) float log2_of(float x)
{
    uint32_t bits = (uint32_t)bits_of(x);
    int32_t exponent = (int32_t)(bits - 0x3f3504f3u) >> 23; /* 0x3f3504f3 is sqrt(1/2) */
    float t = float_of((int32_t)(bits - ((uint32_t)exponent << 23))) - 1.0f;
    float p = 0.12614846229553223f;
    p = p * t - 0.20742103457450867f;
    p = p * t + 0.21566985547542572f;
    p = p * t - 0.23892034590244293f;
    p = p * t + 0.2879183292388916f;
    p = p * t - 0.36070483922958374f;
    p = p * t + 0.48091059923171997f;
    p = p * t - 0.7213473320007324f;
    p = p * t + 1.4426950216293335f;
    return (float)exponent + t * p;
}

/* 2^f - 1 for f in -1/2..1/2 (a Chebyshev fit, with errors below 1e-8). */
static inline __attribute__((always_inline)) float exp2_less_one(float f)
{
    float p = 0.00015461447765119374f;
    p = p * f + 0.0013390866806730628f;
    p = p * f + 0.009618056938052177f;
    p = p * f + 0.055503569543361664f;
    p = p * f + 0.24022650718688965f;
    p = p * f + 0.6931471824645996f;
    return p * f;
}

/* 2^x for x clamped to -126..127. What is not a number stays so. */
static inline __attribute__((always_inline)) float exp2_of(float x)
{
    x = x < -126.0f ? -126.0f : x;
    x = x > 127.0f ? 127.0f : x;
    /* Added to 1.5 * 2^23, x is rounded to an integer, which the lowest bits of the sum then hold. */
    float shifted = x + 12582912.0f, whole = shifted - 12582912.0f;
    uint32_t integer = (uint32_t)bits_of(shifted) - 0x4b400000u;
    float power = float_of((int32_t)((integer + 127u) << 23));
    return power + power * exp2_less_one(x - whole);
}

#endif
