/*
 * Where a boot loader enters the kernel (Documentation/arch/x86/boot.rst, "32-bit Boot Protocol"): protected
 * mode, flat segments, interrupts and paging off, %esi = boot_params. Debian's own code here unpacks XZ, which
 * takes seconds; this unpacks zstd. It moves itself to the end of the room that the header asks for
 * (init_size), turns on 64-bit mode, unpacks the kernel to where it was loaded, and jumps to its start
 * ("64-bit Boot Protocol"). Position independent.
 */
	.section .head, "ax"
	.code32
	.globl start
start:
	cld
	cli
	/* Where are we? boot_params has a scratch field for a stack (0x1e4). */
	leal	0x1e8(%esi), %esp
	call	1f
1:	popl	%ebp
	subl	$(1b - start), %ebp		/* %ebp: the load address */

	/* The kernel's place: here, at the next 2 MiB, but not below where it was linked to be. */
	leal	0x1fffff(%ebp), %edx
	andl	$~0x1fffff, %edx
	cmpl	$0x1000000, %edx
	jae	2f
	movl	$0x1000000, %edx
2:
	/* The whole image, loader and payload, to the end of the room; from its end, as both may overlap. */
	leal	INIT_BYTES(%edx), %ebx
	subl	$_end, %ebx
	andl	$~4095, %ebx			/* %ebx: where the loader runs */
	pushl	%esi
	movl	$_image_end, %ecx
	leal	-4(%ebp, %ecx), %esi
	leal	-4(%ebx, %ecx), %edi
	movl	%edx, %ebp			/* %ebp: the kernel's place */
	shrl	$2, %ecx
	std
	rep	movsl
	cld
	popl	%esi
	leal	(moved - start)(%ebx), %eax
	jmp	*%eax

moved:
	leal	_stack_end(%ebx), %esp
	/* What is not in the file is zero. */
	leal	_image_end(%ebx), %edi
	movl	$_end, %ecx
	subl	$_image_end, %ecx
	shrl	$2, %ecx
	xorl	%eax, %eax
	rep	stosl

	/* 4 GiB, each address its own, in pages of 2 MiB: one table of level 4, one of level 3, four of level 2. */
	leal	_tables(%ebx), %edi
	leal	0x1007(%edi), %eax
	movl	%eax, (%edi)
	leal	0x1000(%edi), %edx
	leal	0x2007(%edi), %eax
	movl	$4, %ecx
2:	movl	%eax, (%edx)
	addl	$8, %edx
	addl	$0x1000, %eax
	loop	2b
	leal	0x2000(%edi), %edx
	movl	$0x183, %eax
	movl	$2048, %ecx
3:	movl	%eax, (%edx)
	addl	$8, %edx
	addl	$0x200000, %eax
	loop	3b
	movl	%edi, %cr3

	/* PAE, and the registers that the C code's library uses (OSFXSR). */
	movl	$0x220, %eax
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	btsl	$8, %eax
	wrmsr
	leal	(gdt - start)(%ebx), %eax
	movl	%eax, (gdt_pointer + 2 - start)(%ebx)
	lgdt	(gdt_pointer - start)(%ebx)
	leal	(long_mode - start)(%ebx), %eax
	pushl	$0x10
	pushl	%eax
	movl	$0x80000003, %eax		/* CR0: paging, MP, protected mode; no EM */
	movl	%eax, %cr0
	lret

	.code64
long_mode:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%esi, %r12d			/* boot_params: the second argument, too */
	movl	%ebp, %edi			/* where to */
	call	unpack
	/* Without OSFXSR, as the kernel expects it. */
	movl	$0x20, %ecx
	movq	%rcx, %cr4
	movq	%r12, %rsi
	jmp	*%rax

	.balign 8
gdt:	.quad	0
	.quad	0
	.quad	0x00af9a000000ffff		/* 0x10: code, 64 bits */
	.quad	0x00cf92000000ffff		/* 0x18: data */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	0

	.section .payload, "a"
	.balign 16
	.globl packed
packed:	.incbin PACKED_FILE
	.balign 16
	.section .note.GNU-stack, "", @progbits
