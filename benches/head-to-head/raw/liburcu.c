/*
 * The two algorithms of Linux reservation objects, in C over liburcu-memb, as peers of the
 * head-to-head. Written for this project.
 *
 *   seq   Linux until 5.13: a list of fences behind RCU, and a sequence count around each change.
 *   list  Linux since 5.19: a list of fences that is changed in place and grown by replacement; a
 *         reader restarts when the list was replaced.
 *
 * A fence is a reference count, a state and a key. Its memory is given back after a grace period.
 * Each function runs its operation `count` times, so that no call between languages is measured.
 */
#include <urcu/urcu-memb.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct fence {
	_Atomic uint32_t refs;
	_Atomic uint32_t signaled;
	uint64_t timeline, seqno;
	struct rcu_head rcu;
};

struct list {
	struct rcu_head rcu;
	_Atomic uint32_t len;
	uint32_t room;
	_Atomic(struct fence *) fences[];
};

struct object {
	pthread_mutex_t writer;
	_Atomic uint32_t seq;
	_Atomic(struct list *) list;
	bool in_place;
	/* The writer's own: the seqno of each timeline, and whose turn it is. */
	uint32_t timelines, turn;
	uint64_t seqno;
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static struct fence *fence_new(uint64_t timeline, uint64_t seqno)
{
	struct fence *fence = must(malloc(sizeof(*fence)));

	atomic_init(&fence->refs, 1);
	atomic_init(&fence->signaled, 0);
	fence->timeline = timeline;
	fence->seqno = seqno;
	return fence;
}

static void fence_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct fence, rcu));
}

static void fence_put(struct fence *fence)
{
	if (atomic_fetch_sub_explicit(&fence->refs, 1, memory_order_acq_rel) == 1)
		urcu_memb_call_rcu(&fence->rcu, fence_free);
}

/* Takes a reference unless the last one is gone. */
static bool fence_get(struct fence *fence)
{
	uint32_t refs = atomic_load_explicit(&fence->refs, memory_order_relaxed);

	while (refs)
		if (atomic_compare_exchange_weak_explicit(&fence->refs, &refs, refs + 1,
							  memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

/* Acquire: pairs with the release store of who signals. */
static bool fence_signaled(struct fence *fence)
{
	return atomic_load_explicit(&fence->signaled, memory_order_acquire);
}

static struct list *list_new(uint32_t room)
{
	struct list *list = must(malloc(sizeof(*list) + room * sizeof(list->fences[0])));

	atomic_init(&list->len, 0);
	list->room = room;
	return list;
}

static void list_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct list, rcu));
}

struct object *h2h_new(bool in_place)
{
	struct object *object = must(calloc(1, sizeof(*object)));

	pthread_mutex_init(&object->writer, NULL);
	object->in_place = in_place;
	atomic_init(&object->list, list_new(4));
	return object;
}

void h2h_free(struct object *object)
{
	struct list *list = atomic_load(&object->list);

	for (uint32_t i = 0; i < atomic_load(&list->len); i++)
		fence_put(atomic_load(&list->fences[i]));
	urcu_memb_call_rcu(&list->rcu, list_free);
	pthread_mutex_destroy(&object->writer);
	free(object);
}

static uint32_t seq_begin(struct object *object)
{
	uint32_t seq;

	while ((seq = atomic_load_explicit(&object->seq, memory_order_acquire)) & 1)
		;
	return seq;
}

static bool seq_changed(struct object *object, uint32_t seq)
{
	/* Keeps the loads of the section before the second load of the sequence. */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&object->seq, memory_order_relaxed) != seq;
}

/* With the lock held. Returns the fence that was replaced, if there was one. */
static struct fence *put_locked(struct object *object, struct fence *fence)
{
	struct list *list = atomic_load_explicit(&object->list, memory_order_relaxed);
	uint32_t len = atomic_load_explicit(&list->len, memory_order_relaxed), at;
	struct fence *old = NULL;
	struct list *grown = NULL;

	for (at = 0; at < len; at++) {
		old = atomic_load_explicit(&list->fences[at], memory_order_relaxed);
		if (old->timeline == fence->timeline)
			break;
		old = NULL;
	}
	if (at == len && len == list->room) {
		grown = list_new(2 * list->room);
		for (uint32_t i = 0; i < len; i++)
			atomic_init(&grown->fences[i],
				    atomic_load_explicit(&list->fences[i], memory_order_relaxed));
		atomic_init(&grown->len, len);
	}
	if (!object->in_place) {
		atomic_store_explicit(&object->seq, object->seq + 1, memory_order_relaxed);
		/* Keeps the stores below after the odd sequence; pairs with seq_changed. */
		atomic_thread_fence(memory_order_release);
	}
	if (grown) {
		atomic_store_explicit(&object->list, grown, memory_order_release);
		urcu_memb_call_rcu(&list->rcu, list_free);
		list = grown;
	}
	/* Release: pairs with the acquire load of a reader that goes on to the fence. */
	atomic_store_explicit(&list->fences[at], fence, memory_order_release);
	if (at == len)
		atomic_store_explicit(&list->len, len + 1, memory_order_release);
	if (!object->in_place)
		atomic_store_explicit(&object->seq, object->seq + 1, memory_order_release);
	return old;
}

static void add(struct object *object, struct fence *fence)
{
	struct fence *old;

	pthread_mutex_lock(&object->writer);
	old = put_locked(object, fence);
	pthread_mutex_unlock(&object->writer);
	if (old) {
		atomic_store_explicit(&old->signaled, 1, memory_order_release);
		fence_put(old);
	}
}

/* Pending fences of `n` timelines, of which the first `signaled` then signal. */
void h2h_fill(struct object *object, uint32_t n, uint32_t signaled)
{
	struct list *list;

	object->timelines = n;
	for (uint32_t i = 0; i < n; i++)
		add(object, fence_new(i, ++object->seqno));
	list = atomic_load(&object->list);
	for (uint32_t i = 0; i < signaled; i++)
		atomic_store(&atomic_load(&list->fences[i])->signaled, 1);
}

void h2h_add_fresh(struct object *object, uint64_t count)
{
	while (count--) {
		object->turn = object->turn + 1 < object->timelines ? object->turn + 1 : 0;
		add(object, fence_new(object->turn, ++object->seqno));
	}
}

/* Walks the fences of one read section; `body` may `goto again`. */
#define READ(object, list, seq, len)                                                      \
	struct list *list;                                                                \
	uint32_t seq, len;                                                                \
again:                                                                                    \
	seq = (object)->in_place ? 0 : seq_begin(object);                                 \
	list = atomic_load_explicit(&(object)->list, memory_order_acquire);               \
	len = atomic_load_explicit(&list->len, memory_order_acquire)

/* Whether the section has to be run again. */
static bool overtaken(struct object *object, struct list *list, uint32_t seq)
{
	if (!object->in_place)
		return seq_changed(object, seq);
	return atomic_load_explicit(&object->list, memory_order_acquire) != list;
}

static bool test(struct object *object)
{
	bool idle = true;

	urcu_memb_read_lock();
	READ(object, list, seq, len);
	idle = true;
	for (uint32_t i = 0; idle && i < len; i++)
		idle = fence_signaled(atomic_load_explicit(&list->fences[i], memory_order_acquire));
	if (overtaken(object, list, seq))
		goto again;
	urcu_memb_read_unlock();
	return idle;
}

uint64_t h2h_test(struct object *object, uint64_t count)
{
	uint64_t idle = 0;

	while (count--)
		idle += test(object);
	return idle;
}

static uint64_t visit(struct object *object)
{
	uint64_t sum;

	urcu_memb_read_lock();
	READ(object, list, seq, len);
	sum = 0;
	for (uint32_t i = 0; i < len; i++) {
		struct fence *fence = atomic_load_explicit(&list->fences[i], memory_order_acquire);

		if (!fence_signaled(fence))
			sum += fence->seqno;
	}
	if (overtaken(object, list, seq))
		goto again;
	urcu_memb_read_unlock();
	return sum;
}

uint64_t h2h_visit(struct object *object, uint64_t count)
{
	uint64_t sum = 0;

	while (count--)
		sum += visit(object);
	return sum;
}

/* All pending fences, each with a reference, in memory of its own. */
static uint32_t snapshot(struct object *object)
{
	struct fence **taken = NULL;
	uint32_t got = 0, room = 0;

	urcu_memb_read_lock();
	READ(object, list, seq, len);
	while (got)
		fence_put(taken[--got]);
	if (len > room) {
		free(taken);
		room = len;
		taken = must(malloc(room * sizeof(*taken)));
	}
	for (uint32_t i = 0; i < len; i++) {
		struct fence *fence = atomic_load_explicit(&list->fences[i], memory_order_acquire);

		if (fence_signaled(fence))
			continue;
		if (!fence_get(fence))
			goto again;
		taken[got++] = fence;
	}
	if (overtaken(object, list, seq))
		goto again;
	urcu_memb_read_unlock();
	for (uint32_t i = 0; i < got; i++)
		fence_put(taken[i]);
	free(taken);
	return got;
}

uint64_t h2h_snapshot(struct object *object, uint64_t count)
{
	uint64_t sum = 0;

	while (count--)
		sum += snapshot(object);
	return sum;
}

void h2h_register_thread(void)
{
	urcu_memb_register_thread();
}

void h2h_unregister_thread(void)
{
	urcu_memb_unregister_thread();
}
