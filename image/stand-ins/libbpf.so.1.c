/*
 * Debian's ip can load packet programs of others from object files ("xdp obj FILE"). There are none on the box: no
 * file opens, and ip says so. Spares the image libbpf (0.15 MB packed).
 */
#include <errno.h>
#include <stddef.h>

#define FAILS(name) \
	int name(void)    \
	{                 \
		return -1;      \
	}

FAILS(bpf_map__fd)
FAILS(bpf_map__ifindex)
FAILS(bpf_map__reuse_fd)
FAILS(bpf_map__set_ifindex)
FAILS(bpf_map__set_pin_path)
FAILS(bpf_map__type)
FAILS(bpf_map_update_elem)
FAILS(bpf_obj_get)
FAILS(bpf_object__load)
FAILS(bpf_prog_attach)
FAILS(bpf_program__fd)
FAILS(bpf_program__set_autoload)
FAILS(bpf_program__set_type)

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
