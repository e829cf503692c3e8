#pragma once
// The op catalogue on the CPU, declared; each family of ops is defined in the file of its name. An op, whose
// operands have been checked, picks the element type and hands plain pointers to loops of its own file.

#include "headwater/backend/backend.h"
#include "headwater/backend/cpu_backend.h"

#include "matrix_products.h"
#include "scratch_bytes.h"
#include "workspace.h"

namespace headwater::cpu {

// Into what pieces a product is cut.
struct ProductTile {
  std::int64_t rows, columns, depth;
};

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options);

  Device device() const override { return {}; }
  Queue& queue() override { return queue_; }
  void use_workspace(TensorView bytes) override;

  void to_device(TensorView host, TensorView device) override;
  void to_host(TensorView device, TensorView host) override;

 private:
  HEADWATER_OPS(HEADWATER_COMPUTES)

  // Scratch of `bytes` bytes, or as the op states it, of use until the op returns.
  Scratch scratch(std::int64_t bytes) const;
  template <class Op>
  Scratch scratch_of(const Op& op) const {
    return scratch(op.scratch({Device::Kind::cpu, threads_}));
  }
  // c = a·b, or c += a·b, in the way that the dtype and the chip call for.
  void multiply(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate);
  void multiply_in_tiles(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate,
                         const ProductTile& tile);

  int threads_;
  bool widen_bf16_;
  CpuQueue queue_;
  MatrixProducts products_;
  TensorView workspace_;
};

}  // namespace headwater::cpu
