// Package agent is the life of a compute node: it serves the RPC operations that a Nova control plane asks of
// it, keeps the node registered, and answers for what each operation leaves behind.
//
// # How an operation runs
//
// A delivery becomes a call of the handler that [Agent.handler] made for its operation. The handler decodes the
// instance and puts a task into that instance's queue: operations on one instance run one after the other, those
// on different instances side by side. A task runs its steps in the order of one literal list ([task.run]); when
// a step fails, what it and the steps before it did is undone in reverse. Every write of an instance's states
// goes through [task.move], which knows the one table of permitted changes (transition.go). Around the whole
// stand the duties that Nova's control plane relies on: the instance action event is opened and closed, a fault
// is stored, and the task state is cleared when the operation's policy says so (operation.go). Listeners are told
// of the operation's begin and end, or at the points where Nova's own node tells them (news.go, notify.go).
//
// # Goroutines
//
// [Agent.Run] owns all of them: the AMQP link, the sender of notifications, the libvirt link, the heartbeat, the
// periodic tasks, the status socket, and one goroutine per instance that has work queued. It returns when they have.
//
// # To add an RPC operation, touch these
//
//   - op_<name>.go: the operation, its arguments, its steps in one list, its undo; the test beside it
//   - operations.go: its line in the list
//   - transition.go: the changes of state it makes
//   - news.go: what is told of it, if Nova's node tells anything
//   - sequence_test.go: its recording, which it is compared with; where there is none, unrecorded_test.go: its request
//   - broken_step_test.go: what becomes of it when each of its steps fails
//   - test/openstack: the operation driven through Nova's API
//   - docs/operations.md: its row
package agent
