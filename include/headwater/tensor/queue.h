#pragma once
// Order between pieces of work without making the host wait.
//
// A Queue runs work in order on one device (CPU: at once, in the calling thread; CUDA: a stream). An Event
// marks a point: it is done once everything before it is. A default-made Event is done. Events are cheap
// handles, shared freely between threads; a Queue belongs to one thread.

#include "headwater/tensor/device.h"

#include <memory>
#include <utility>

namespace headwater {

class EventState {
 public:
  virtual ~EventState() = default;
  virtual bool done() const = 0;
  // Blocks the host until done. Throws what made the work fail (CommError of a lost peer).
  virtual void wait() = 0;
};

class Event {
 public:
  Event() = default;
  explicit Event(std::shared_ptr<EventState> state) : state_(std::move(state)) {}
  bool done() const { return state_ == nullptr || state_->done(); }
  void wait() const {
    if (state_) state_->wait();
  }
  EventState* state() const { return state_.get(); }

 private:
  std::shared_ptr<EventState> state_;
};

class Queue {
 public:
  virtual ~Queue() = default;
  virtual Device device() const = 0;
  virtual Event record() = 0;                 // done when all work queued so far is
  virtual void wait(const Event& event) = 0;  // work queued later starts after `event`
  virtual void synchronize() = 0;             // blocks the host until all queued work is done
};

// The CPU's queue: work runs in the caller, so record() is done at once and wait() blocks.
class CpuQueue final : public Queue {
 public:
  Device device() const override { return {}; }
  Event record() override { return {}; }
  void wait(const Event& event) override { event.wait(); }
  void synchronize() override {}
};

}  // namespace headwater
