/* log2 and exp2 without branches and calls, so that a loop over pixels becomes vector instructions. Relative
 * errors are below 1e-6: a thousandth of the smallest step of ten-bit PQ. */
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

/* log2(x) for x > 0. The mantissa is brought to sqrt(1/2)..sqrt(2), where log2(1 + t) / t is a polynomial (a
 * Chebyshev fit, 3e-8). */
static inline __attribute__((always_inline)) float log2_of(float x)
{
    int32_t bits = bits_of(x);
    int32_t exponent = (bits - 0x3f3504f3) >> 23;
    float t = float_of(bits - (int32_t)((uint32_t)exponent << 23)) - 1.0f;
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

/* 2^f - 1 for f in -1/2..1/2 (a Chebyshev fit, 1e-8). */
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

/* 2^x; x is taken as within -126..127. */
static inline __attribute__((always_inline)) float exp2_of(float x)
{
    x = x < -126.0f ? -126.0f : x;
    x = x > 127.0f ? 127.0f : x;
    float whole = (x + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: rounds to the nearest integer */
    float power = float_of((int32_t)((uint32_t)((int32_t)whole + 127) << 23));
    return power + power * exp2_less_one(x - whole);
}

#endif
