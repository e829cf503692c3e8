#pragma once
// Standard output of a run, which may take days. A reader that stops reading must not stop the training: a
// terminal after Ctrl-S does so, and mpirun while it ends a job, when it takes no more output and then sends
// SIGTERM, upon which the ranks are to save.
//
// A thread of its own writes and may wait for the reader for ever; the user of stream() never waits. Output
// that finds no room is left out, in whole pieces from one flush to the next, and counted. One thread uses
// this. It is not for output that must not be lost.

#include <memory>
#include <ostream>
#include <streambuf>
#include <string>

namespace headwater {

class RunOutput : private std::streambuf {
 public:
  explicit RunOutput(int descriptor);
  ~RunOutput() override;

  std::ostream& stream() { return stream_; }
  // Gives the reader a moment to take the rest. SystemError where the system refused to write, as on a full
  // disk.
  void close();

 private:
  struct Shared;  // outlives this object where the thread is still waiting

  int_type overflow(int_type character) override;
  std::streamsize xsputn(const char* text, std::streamsize size) override;
  int sync() override;

  std::string piece_;
  std::shared_ptr<Shared> shared_;
  std::ostream stream_;
};

}  // namespace headwater
