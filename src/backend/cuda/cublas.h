#pragma once
// Owners of what cuBLASLt hands out, and its calls, which throw InternalError with the call, the stream and
// cuBLAS's own words.

#include <cublasLt.h>

#include <string_view>
#include <utility>

namespace headwater::cuda {

void check(cublasStatus_t status, std::string_view where, const char* call, const char* file, int line);

#define HW_CUBLAS(where, call) ::headwater::cuda::check((call), (where), #call, __FILE__, __LINE__)

// Owns one handle of the library.
template <class Handle, cublasStatus_t (*kDestroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Handle handle) : handle_(handle) {}
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() {
    if (handle_ != nullptr) kDestroy(handle_);
  }
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};

using LtHandle = Owned<cublasLtHandle_t, cublasLtDestroy>;
using LtProduct = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using LtLayout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using LtPreference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

}  // namespace headwater::cuda
