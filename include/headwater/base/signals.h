#pragma once
// SIGTERM and SIGUSR1 as flags that the training loop polls; nothing else happens in the handler.

namespace headwater::signals {

void install();  // once, by `train`, before threads start
int pending();   // the first stop signal that came, or 0
void clear();    // for tests

}  // namespace headwater::signals
