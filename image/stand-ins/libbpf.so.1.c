/*
 * Debian's ip can load packet programs of others from object files ("xdp obj FILE"). There are none on the box: no
 * file opens, and ip says so. Spares the image libbpf (0.15 MB packed).
 */
#include <errno.h>
#include <stddef.h>

#define GIVES(result, name) \
	result name(void)         \
	{                         \
		return (result)-1;      \
	}

GIVES(int, bpf_map__fd)
GIVES(int, bpf_map__ifindex)
GIVES(int, bpf_map__reuse_fd)
GIVES(int, bpf_map__set_ifindex)
GIVES(int, bpf_map__set_pin_path)
GIVES(int, bpf_map__type)
GIVES(int, bpf_map_update_elem)
GIVES(int, bpf_obj_get)
GIVES(int, bpf_object__load)
GIVES(int, bpf_prog_attach)
GIVES(int, bpf_program__fd)
GIVES(int, bpf_program__set_autoload)
GIVES(int, bpf_program__set_type)

#define NONE(name)  \
	void *name(void)  \
	{                 \
		return NULL;    \
	}

NONE(bpf_map__name)
NONE(bpf_object__find_map_by_name)
NONE(bpf_object__next_map)
NONE(bpf_object__next_program)
NONE(bpf_object__open_file)
NONE(bpf_program__name)
NONE(bpf_program__section_name)
NONE(libbpf_set_print)

void bpf_object__close(void *object)
{
	(void)object;
}

void bpf_program__set_ifindex(void *program, unsigned ifindex)
{
	(void)program;
	(void)ifindex;
}

/* Asked of what bpf_object__open_file gave. */
long libbpf_get_error(const void *object)
{
	return object == NULL ? -ENOTSUP : 0;
}
