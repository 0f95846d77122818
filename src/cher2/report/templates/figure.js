(() => {
  // A figure leaves the page as SVG, or as PNG at three times its size: black on white, whatever the page's colours.
  const SCALE = 3;

  function standalone(svg) {
    const copy = svg.cloneNode(true);
    const { width, height } = svg.viewBox.baseVal;
    copy.setAttribute("width", `${width}pt`);
    copy.setAttribute("height", `${height}pt`);
    copy.style.color = "#000000";
    copy.style.fontFamily = "DejaVu Sans, Verdana, sans-serif";
    return { text: new XMLSerializer().serializeToString(copy), width, height };
  }

  function save(name, address) {
    const link = document.createElement("a");
    link.download = name;
    link.href = address;
    link.click();
  }

  const address = (text) => `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;

  function drawn(panel) {
    return new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve({ image, ...panel });
      image.onerror = reject;
      image.src = address(panel.text);
    });
  }

  async function savePng(name, panels) {
    const images = await Promise.all(panels.map(drawn));
    const canvas = document.createElement("canvas");
    canvas.width = SCALE * Math.max(...images.map((one) => one.width));
    canvas.height = SCALE * images.reduce((sum, one) => sum + one.height, 0);
    const context = canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    let top = 0;
    for (const one of images) {
      context.drawImage(one.image, 0, top, SCALE * one.width, SCALE * one.height);
      top += SCALE * one.height;
    }
    save(`${name}.png`, canvas.toDataURL("image/png"));
  }

  for (const figure of document.querySelectorAll(".figure")) {
    const name = figure.dataset.name;
    const panels = () => [...figure.querySelectorAll(".plot > svg")].map(standalone);
    const forms = {
      svg: () => panels().forEach((one, k) => save(k ? `${name}-${k + 1}.svg` : `${name}.svg`, address(one.text))),
      png: () => savePng(name, panels()),
    };
    for (const button of figure.querySelectorAll("button[data-form]")) {
      button.addEventListener("click", forms[button.dataset.form]);
    }
    figure.querySelector(".drawn").hidden = false;
  }
})();
