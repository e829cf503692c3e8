#pragma once
// What a CUDA source sees when a plain C++ compiler builds it: the runtime API (cuda_runtime_api.h), the
// vector types, and in device code the built-in variables, barriers, atomics and mathematics.

#include "cuda_runtime_api.h"
#include "emulation/device.h"
#include "emulation/launch.h"
#include "emulation/math.h"
#include "vector_types.h"
