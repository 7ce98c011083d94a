// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Plays scenarios on the kernel's own reservation objects.
 *
 * /sys/kernel/debug/resv/scenario: each open file is a world of its own. Statements of the scenario
 * language, a line each, are written to it; the answers of the queries are read from it, a line each.
 * A statement that is wrong makes the write fail with EINVAL, and the answer says which and why.
 *
 * What an answer lists is what the kernel holds: it may hold a fence twice, and one that a later one
 * of its timeline covers. Who compares takes the latest of each timeline.
 */
#include <linux/debugfs.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/init.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define NAME_BYTES 32
#define ANSWER_BYTES (1 << 20)
#define WRITE_BYTES (1 << 18)

struct timeline {
	struct list_head link;
	char name[NAME_BYTES];
	u64 context;
	u64 last;
};

/* A fence that a statement signals. It is freed with its last reference, after the world perhaps. */
struct job {
	struct dma_fence fence;
	spinlock_t lock;
	char timeline[NAME_BYTES];
	char name[NAME_BYTES];
	struct list_head link;
};

struct object {
	struct list_head link;
	char name[NAME_BYTES];
	struct dma_resv resv;
};

struct world {
	struct mutex lock;
	struct list_head timelines, jobs, objects;
	char *answer;
	size_t answered;
	int line;
};

static const char *job_driver(struct dma_fence *fence)
{
	return "resv";
}

static const char *job_timeline(struct dma_fence *fence)
{
	return container_of(fence, struct job, fence)->timeline;
}

static const struct dma_fence_ops job_ops = {
	.get_driver_name = job_driver,
	.get_timeline_name = job_timeline,
};

#define FIND(world, list, type, wanted) ({				\
	const char *wanted_ = (wanted);					\
	struct type *found_ = NULL, *each_;				\
	list_for_each_entry(each_, &(world)->list, link)		\
		if (!strcmp(each_->name, wanted_))			\
			found_ = each_;					\
	found_;								\
})

static __printf(2, 3) void answer(struct world *world, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	world->answered += vscnprintf(world->answer + world->answered,
				      ANSWER_BYTES - world->answered, format, args);
	va_end(args);
}

static int wrong(struct world *world, const char *what)
{
	answer(world, "error: line %d: %s\n", world->line, what);
	return -EINVAL;
}

/* The next word of a line, or "". */
static char *word(char **rest)
{
	char *next;

	do {
		next = strsep(rest, " \t");
	} while (next && !*next);
	return next ?: "";
}

static int find_word(const char *wanted, const char *const *words, int count)
{
	return match_string(words, count, wanted);
}

static int usage_of(const char *name)
{
	/* In the order of enum dma_resv_usage. */
	static const char *const names[] = { "kernel", "write", "read", "bookkeep" };

	return find_word(name, names, ARRAY_SIZE(names));
}

/* The usage up to which an access looks. */
static int access_of(const char *name)
{
	static const char *const names[] = { "explicit", "read", "write", "move" };

	return find_word(name, names, ARRAY_SIZE(names));
}

static int new_timeline(struct world *world, const char *name)
{
	struct timeline *timeline = kzalloc(sizeof(*timeline), GFP_KERNEL);

	if (!timeline)
		return -ENOMEM;
	strscpy(timeline->name, name, NAME_BYTES);
	timeline->context = dma_fence_context_alloc(1);
	list_add_tail(&timeline->link, &world->timelines);
	return 0;
}

static int new_fence(struct world *world, char *name, char *on, char *at)
{
	struct timeline *timeline = FIND(world, timelines, timeline, on);
	struct job *job;
	u64 seqno;

	if (!timeline)
		return wrong(world, "there is no such timeline");
	seqno = timeline->last + 1;
	/* The kernel compares 32 bits here. */
	if (*at && (kstrtou64(at, 10, &seqno) || !seqno || seqno > INT_MAX))
		return wrong(world, "a seqno is from 1 to 2147483647 here");
	job = kzalloc(sizeof(*job), GFP_KERNEL);
	if (!job)
		return -ENOMEM;
	timeline->last = max(timeline->last, seqno);
	strscpy(job->name, name, NAME_BYTES);
	strscpy(job->timeline, timeline->name, NAME_BYTES);
	spin_lock_init(&job->lock);
	dma_fence_init(&job->fence, &job_ops, &job->lock, timeline->context, seqno);
	list_add_tail(&job->link, &world->jobs);
	return 0;
}

static int new_object(struct world *world, const char *name)
{
	struct object *object = kzalloc(sizeof(*object), GFP_KERNEL);

	if (!object)
		return -ENOMEM;
	strscpy(object->name, name, NAME_BYTES);
	dma_resv_init(&object->resv);
	list_add_tail(&object->link, &world->objects);
	return 0;
}

/* add OBJECT (FENCE USAGE)...: under one lock. */
static int add(struct world *world, struct object *object, char *rest)
{
	struct job *jobs[16];
	int usages[16], count = 0, i, error;

	for (;;) {
		char *fence = word(&rest), *usage;

		if (!*fence)
			break;
		usage = word(&rest);
		if (count == ARRAY_SIZE(jobs))
			return wrong(world, "more than 16 fences in one transaction");
		jobs[count] = FIND(world, jobs, job, fence);
		usages[count] = usage_of(usage);
		if (!jobs[count] || usages[count] < 0)
			return wrong(world, "no such fence or usage");
		count++;
	}
	dma_resv_lock(&object->resv, NULL);
	error = dma_resv_reserve_fences(&object->resv, max(count, 1));
	for (i = 0; !error && i < count; i++)
		dma_resv_add_fence(&object->resv, &jobs[i]->fence, usages[i]);
	dma_resv_unlock(&object->resv);
	return error;
}

static int replace(struct world *world, struct object *object, char *rest)
{
	struct timeline *timeline = FIND(world, timelines, timeline, word(&rest));
	struct job *job = FIND(world, jobs, job, word(&rest));
	int usage = usage_of(word(&rest));

	if (!timeline || !job || usage < 0)
		return wrong(world, "no such timeline, fence or usage");
	dma_resv_lock(&object->resv, NULL);
	dma_resv_replace_fences(&object->resv, timeline->context, &job->fence, usage);
	dma_resv_unlock(&object->resv);
	return 0;
}

static int copy(struct world *world, struct object *to, char *rest)
{
	struct object *from = FIND(world, objects, object, word(&rest));
	int error;

	if (!from)
		return wrong(world, "there is no such object");
	dma_resv_lock(&to->resv, NULL);
	error = dma_resv_copy_fences(&to->resv, &from->resv);
	dma_resv_unlock(&to->resv);
	return error;
}

/* The pending fences up to a usage, of ours. */
static void answer_fences(struct world *world, struct object *object, int usage, bool usages)
{
	static const char *const names[] = { "kernel", "write", "read", "bookkeep" };
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	bool any = false;

	dma_resv_lock(&object->resv, NULL);
	dma_resv_for_each_fence(&cursor, &object->resv, usage, fence) {
		if (fence->ops != &job_ops || dma_fence_is_signaled(fence))
			continue;
		answer(world, " %s:%llu", job_timeline(fence), (u64)fence->seqno);
		if (usages)
			answer(world, "=%s", names[dma_resv_iter_usage(&cursor)]);
		any = true;
	}
	dma_resv_unlock(&object->resv);
	answer(world, any ? "\n" : " -\n");
}

static int on_object(struct world *world, const char *verb, char *name, char *rest)
{
	struct object *object = FIND(world, objects, object, name);
	int usage;

	if (!object)
		return wrong(world, "there is no such object");
	if (!strcmp(verb, "add"))
		return add(world, object, rest);
	if (!strcmp(verb, "replace"))
		return replace(world, object, rest);
	if (!strcmp(verb, "copy"))
		return copy(world, object, rest);
	if (!strcmp(verb, "list")) {
		answer(world, "list %s:", name);
		answer_fences(world, object, DMA_RESV_USAGE_BOOKKEEP, true);
		return 0;
	}
	rest = word(&rest);
	usage = access_of(rest);
	if (usage < 0)
		return wrong(world, "no such access");
	answer(world, "%s %s %s:", verb, name, rest);
	if (!strcmp(verb, "waits"))
		answer_fences(world, object, usage, false);
	else
		answer(world, " %s\n",
		       dma_resv_test_signaled(&object->resv, usage) ? "true" : "false");
	return 0;
}

static int on_fence(struct world *world, const char *verb, char *name, char *rest)
{
	struct job *job = FIND(world, jobs, job, name);
	int status;

	if (!job)
		return wrong(world, "there is no such fence");
	if (!strcmp(verb, "signal")) {
		if (dma_fence_is_signaled(&job->fence))
			return wrong(world, "it has signalled");
		if (!strcmp(word(&rest), "error"))
			dma_fence_set_error(&job->fence, -EIO);
		dma_fence_signal(&job->fence);
		return 0;
	}
	status = dma_fence_get_status(&job->fence);
	answer(world, "status %s: %s\n", name, !status ? "pending" : status > 0 ? "ok" : "error");
	return 0;
}

static int play(struct world *world, char *line)
{
	static const char *const object_verbs[] = {
		"add", "replace", "copy", "waits", "idle", "list",
	};
	char *verb, *name;

	strreplace(line, '#', '\0');
	verb = word(&line);
	if (!*verb)
		return 0;
	name = word(&line);
	if (!*name || strlen(name) >= NAME_BYTES)
		return wrong(world, "a name of 1 to 31 bytes was expected");
	if (!strcmp(verb, "timeline"))
		return new_timeline(world, name);
	if (!strcmp(verb, "resv"))
		return new_object(world, name);
	if (!strcmp(verb, "fence")) {
		char *on = word(&line);

		return new_fence(world, name, on, word(&line));
	}
	if (!strcmp(verb, "signal") || !strcmp(verb, "status"))
		return on_fence(world, verb, name, line);
	if (find_word(verb, object_verbs, ARRAY_SIZE(object_verbs)) >= 0)
		return on_object(world, verb, name, line);
	return wrong(world, "no such statement");
}

static ssize_t scenario_write(struct file *file, const char __user *from, size_t bytes, loff_t *at)
{
	struct world *world = file->private_data;
	char *text, *rest, *line;
	int error = 0;

	if (bytes > WRITE_BYTES)
		return -EFBIG;
	text = memdup_user_nul(from, bytes);
	if (IS_ERR(text))
		return PTR_ERR(text);
	rest = text;
	mutex_lock(&world->lock);
	while (!error && (line = strsep(&rest, "\n"))) {
		world->line++;
		error = play(world, line);
	}
	mutex_unlock(&world->lock);
	kfree(text);
	return error ?: bytes;
}

static ssize_t scenario_read(struct file *file, char __user *to, size_t bytes, loff_t *at)
{
	struct world *world = file->private_data;
	ssize_t done;

	mutex_lock(&world->lock);
	done = simple_read_from_buffer(to, bytes, at, world->answer, world->answered);
	mutex_unlock(&world->lock);
	return done;
}

static int scenario_open(struct inode *inode, struct file *file)
{
	struct world *world = kzalloc(sizeof(*world), GFP_KERNEL);

	if (!world)
		return -ENOMEM;
	world->answer = kvmalloc(ANSWER_BYTES, GFP_KERNEL);
	if (!world->answer) {
		kfree(world);
		return -ENOMEM;
	}
	mutex_init(&world->lock);
	INIT_LIST_HEAD(&world->timelines);
	INIT_LIST_HEAD(&world->jobs);
	INIT_LIST_HEAD(&world->objects);
	file->private_data = world;
	return 0;
}

static int scenario_release(struct inode *inode, struct file *file)
{
	struct world *world = file->private_data;
	struct timeline *timeline, *next_timeline;
	struct object *object, *next_object;
	struct job *job, *next_job;

	/* Nobody of the kernel's may be left waiting. */
	list_for_each_entry_safe(job, next_job, &world->jobs, link) {
		if (!dma_fence_is_signaled(&job->fence))
			dma_fence_signal(&job->fence);
		list_del(&job->link);
		dma_fence_put(&job->fence);
	}
	list_for_each_entry_safe(object, next_object, &world->objects, link) {
		dma_resv_fini(&object->resv);
		kfree(object);
	}
	list_for_each_entry_safe(timeline, next_timeline, &world->timelines, link)
		kfree(timeline);
	kvfree(world->answer);
	kfree(world);
	return 0;
}

static const struct file_operations scenario_operations = {
	.owner = THIS_MODULE,
	.open = scenario_open,
	.release = scenario_release,
	.read = scenario_read,
	.write = scenario_write,
};

static int __init scenario_init(void)
{
	debugfs_create_file("scenario", 0600, debugfs_create_dir("resv", NULL), NULL,
			    &scenario_operations);
	return 0;
}
late_initcall(scenario_init);
