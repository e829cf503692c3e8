#pragma once
// The stop signals SIGTERM and SIGUSR1. Their handler only notes which came first; the training loop polls
// that.

namespace headwater::signals {

void install();  // called once, before threads start
int pending();   // the number of the first stop signal that came, or 0
void clear();    // forgets it; for tests

}  // namespace headwater::signals
