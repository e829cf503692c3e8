#pragma once
// A communicator for tests of communicators: what they hold on the host travels by way of a device's memory.

#include "headwater/comm/communicator.h"
#include "headwater/tensor/cuda/memory.h"

#include <functional>
#include <memory>

namespace headwater::test {

// Memory of a device beside a tensor of the host.
class Twin {
 public:
  Twin(Device device, TensorView host) : host_(host), memory_(cuda::allocate(device, static_cast<std::int64_t>(host.bytes()), "a test")) {
    on_device_ = TensorView(memory_.get(), host.dtype, host.shape, device);
  }
  TensorView on_device() const { return on_device_; }
  void there() const { copy(on_device_.data, host_.data, cudaMemcpyHostToDevice); }
  void back() const { copy(host_.data, on_device_.data, cudaMemcpyDeviceToHost); }

 private:
  void copy(void* to, const void* from, cudaMemcpyKind kind) const {
    HW_CUDA("a test", cudaMemcpy(to, from, host_.bytes(), kind));
    HW_CUDA("a test", cudaDeviceSynchronize());
  }
  TensorView host_, on_device_;
  DeviceMemory memory_;
};

class OnDevice final : public Communicator {
 public:
  OnDevice(std::unique_ptr<Communicator> inner, Device device) : inner_(std::move(inner)), device_(device) {}

  const std::string& name() const override { return inner_->name(); }
  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }

  Event all_reduce(TensorView data, ReduceOp op, Event after) override {
    return run(data, data, after, [&](TensorView d, TensorView) { return inner_->all_reduce(d, op); });
  }
  Event reduce_scatter(TensorView in, TensorView out, Event after) override {
    return run(in, out, after, [&](TensorView i, TensorView o) { return inner_->reduce_scatter(i, o); });
  }
  Event all_gather(TensorView in, TensorView out, Event after) override {
    return run(in, out, after, [&](TensorView i, TensorView o) { return inner_->all_gather(i, o); });
  }
  Event broadcast(TensorView data, int root, Event after) override {
    return run(data, data, after, [&](TensorView d, TensorView) { return inner_->broadcast(d, root); });
  }
  Event send(TensorView data, int peer, Event after) override {
    return run(data, data, after, [&](TensorView d, TensorView) { return inner_->send(d, peer); });
  }
  Event receive(TensorView data, int peer, Event after) override {
    return run(data, data, after, [&](TensorView d, TensorView) { return inner_->receive(d, peer); });
  }
  Event all_to_all(TensorView in, TensorView out, Event after) override {
    return run(in, out, after, [&](TensorView i, TensorView o) { return inner_->all_to_all(i, o); });
  }

 private:
  class Back final : public EventState {
   public:
    Back(Event call, std::unique_ptr<Twin> in, std::unique_ptr<Twin> out)
        : call_(std::move(call)), in_(std::move(in)), out_(std::move(out)) {}
    bool done() const override { return call_.done(); }
    void wait() override {
      call_.wait();
      (out_ ? out_ : in_)->back();
    }

   private:
    Event call_;
    std::unique_ptr<Twin> in_, out_;
  };

  template <class Call>
  Event run(TensorView in, TensorView out, const Event& after, const Call& call) {
    after.wait();
    auto from = std::make_unique<Twin>(device_, in);
    from->there();
    std::unique_ptr<Twin> to;
    if (out.data != in.data || out.bytes() != in.bytes()) to = std::make_unique<Twin>(device_, out);
    const TensorView target = (to ? to : from)->on_device();
    Event queued = call(from->on_device(), target);
    return Event(std::make_shared<Back>(std::move(queued), std::move(from), std::move(to)));
  }

  std::unique_ptr<Communicator> inner_;
  Device device_;
};

}  // namespace headwater::test
