package queue

import (
	"container/heap"
	"time"
)

// never is later than everything.
const never = time.Duration(1<<63 - 1)

// timed has a moment, on the engine's monotonic clock, and knows its place in
// a timeline: one more than its index, 0 when it is in none.
type timed interface {
	comparable
	when() time.Duration
	place() *int32
}

// A timeline gives what is due first. Moving and removing take log n.
type timeline[T timed] struct{ h timeHeap[T] }

// set puts x in, or moves it after its moment changed.
func (t *timeline[T]) set(x T) {
	if i := *x.place(); i > 0 {
		heap.Fix(&t.h, int(i-1))
		return
	}
	heap.Push(&t.h, x)
}

func (t *timeline[T]) remove(x T) {
	if i := *x.place(); i > 0 {
		heap.Remove(&t.h, int(i-1))
	}
}

// due takes out the first if its moment has come.
func (t *timeline[T]) due(now time.Duration) (x T, ok bool) {
	if len(t.h) == 0 || t.h[0].when() > now {
		return x, false
	}
	return heap.Pop(&t.h).(T), true
}

// next is the moment of the first.
func (t *timeline[T]) next() time.Duration {
	if len(t.h) == 0 {
		return never
	}
	return t.h[0].when()
}

// timeHeap is the heap.Interface of a timeline.
type timeHeap[T timed] []T

func (h timeHeap[T]) Len() int           { return len(h) }
func (h timeHeap[T]) Less(i, j int) bool { return h[i].when() < h[j].when() }

func (h timeHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = int32(i+1), int32(j+1)
}

// Push is called by container/heap only.
func (h *timeHeap[T]) Push(x any) {
	*h = append(*h, x.(T))
	*x.(T).place() = int32(len(*h))
}

// Pop is called by container/heap only.
func (h *timeHeap[T]) Pop() any {
	old := *h
	x := old[len(old)-1]
	var none T
	old[len(old)-1] = none
	*h = old[:len(old)-1]
	*x.place() = 0
	return x
}

// A line is served first come, first served.
type line[T any] struct {
	items []T
	head  int
}

func (l *line[T]) push(x T) { l.items = append(l.items, x) }

func (l *line[T]) pop() (x T, ok bool) {
	if l.head == len(l.items) {
		l.items, l.head = l.items[:0], 0
		return x, false
	}
	x = l.items[l.head]
	var none T
	l.items[l.head] = none
	l.head++
	if l.head > 64 && l.head > len(l.items)/2 {
		l.items = append(l.items[:0:0], l.items[l.head:]...)
		l.head = 0
	}
	return x, true
}
